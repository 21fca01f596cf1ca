"""The kinds of places in which published models lie: a folder, a URL, the Hub.

Each offers `inside(name)`, the place of one model; `read(file)`, the bytes of a small
file, or `None` where there is none; `weights(card)`, the checked weights file if the
place can have it on this machine; `urls(card)`, where it can be downloaded;
`origin(card)`, what the cache knows downloaded weights by; `kept()`, the place of what
was downloaded from here before, `None` where there is none; and `summaries()`, what the
models in it are.
"""

import pathlib

from absl import logging

from keras_xcons.files import LARGEST, read_json, sha256_of_file
from keras_xcons.offline import is_offline
from keras_xcons.printable import printable
from keras_xcons.zoo import cache, fetch
from keras_xcons.zoo import card as cards

INDEX_FILE = "index.json"


class Folder:
    """A folder of this machine."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def __str__(self):
        return str(self.path)

    def inside(self, name):
        """Returns the place of one of its models."""
        return Folder(self.path / name)

    def read(self, file):
        """Returns the bytes of a small file, `None` where there is none."""
        path = self.path / file
        if not path.is_file():
            return None
        with open(path, "rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"{path} is larger than {LARGEST} bytes")
        return content

    def weights(self, card):
        """Returns the path of the weights file, checked, `None` where there is none."""
        # A link may lead out of the folder, as those of the Hub's cache and of data
        # version control do: the sha256 vouches for the content wherever it lies.
        path = self.path / card["weights"]
        if not path.is_file():
            return None
        check_file(path, card)
        return path

    def urls(self, card):
        """Returns where a weights file can be downloaded from: nowhere here."""
        del card
        return ()

    def origin(self, card):
        """Returns what the cache knows the weights by: the URL of the card.

        In words that are no address, so that no model can be looked for there.
        """
        return f"the weights at {card['url']}"

    def kept(self):
        """Returns `None`: a folder of this machine is not kept twice."""

    def summaries(self):
        """Returns what its models are, by name; one with a wrong card is left out."""
        return _summaries(
            (path.parent.name, Folder(path.parent))
            for path in sorted(self.path.glob(f"*/{cards.CARD_FILE}"))
        )


class Remote:
    """What the places that are not on this machine have in common, all but `read`."""

    def __init__(self, address):
        self.address = address.rstrip("/")

    def __str__(self):
        return self.address

    def inside(self, name):
        """Returns the place of one of its models."""
        return type(self)(f"{self.address}/{name}")

    def origin(self, card):
        """Returns what the cache knows the model by: its address."""
        del card
        return cache.origin_of(self.address)

    def kept(self):
        """Returns the place of what was downloaded from here, `None` if nothing was."""
        path = cache.find(cache.origin_of(self.address))
        return None if path is None else Folder(path)

    def summaries(self):
        """Returns what its models are, by name, as its index says.

        Where that cannot be read, those that were downloaded before.
        """
        source = f"The index {self.address}/{INDEX_FILE}"
        try:
            content = self.read(INDEX_FILE)
            if content is None:
                raise ValueError(f"{source} does not exist")
            told, wrong = cards.read_index(read_json(content, source), source)
        except (ConnectionError, ValueError) as error:
            # The models of other places are listed all the same.
            if not (is_offline() and isinstance(error, ConnectionError)):
                logging.warning(
                    "%s; what was not downloaded is not listed", printable(error)
                )
            return self._kept_summaries()
        for reason in wrong:
            logging.warning("%s; it is not listed", printable(reason))
        return told

    def _kept_summaries(self):
        start = f"{cache.origin_of(self.address)}/"
        return _summaries(
            (origin.removeprefix(start), Folder(path))
            for origin, path in cache.found()
            if origin.startswith(start)
        )


class Web(Remote):
    """A folder behind an http(s) URL."""

    def read(self, file):
        """Returns the bytes of a small file, `None` where there is none."""
        return fetch.text(f"{self.address}/{file}")

    def weights(self, card):
        """Returns `None`: nothing of it is on this machine."""
        del card

    def urls(self, card):
        """Returns where a weights file can be downloaded from."""
        return (f"{self.address}/{card['weights']}",)


def _summaries(places):
    """What the models in places of one model are, by their names there."""
    found = {}
    for name, place in places:
        if not cards.is_name(name):
            continue
        try:
            card = read_card(place, name)
            if card is not None:
                found[name] = cards.summary(card)
        except (ValueError, OSError) as error:
            logging.warning("%s; it is not listed", printable(error))
    return found


def read_card(place, name=None):
    """Reads and checks the card in the place of one model.

    Args:
        place: A place of one model.
        name: What its card must be called, `None` for any name.

    Returns:
        The card, or `None` where there is none.

    Raises:
        ValueError: The card is not as it should be, or that of another model.
        ConnectionError: The place does not answer.
    """
    content = place.read(cards.CARD_FILE)
    if content is None:
        return None
    source = f"{place}/{cards.CARD_FILE}"
    card = cards.parse(content, source)
    if name is not None and card["name"] != name:
        raise ValueError(
            f"The card {source} is that of another model. Expected: name={name!r}. "
            f"Received: name={card['name']!r}"
        )
    return card


def check_file(path, card):
    """Raises a `ValueError` when a weights file is not that of a card.

    Args:
        path: `pathlib.Path` of an existing file. It is read, and not opened as HDF5.
        card: The card.
    """
    size = path.stat().st_size
    expected, received = card["bytes"], size
    kind = "bytes"
    if size == card["bytes"]:
        expected, received = card["sha256"], sha256_of_file(path)
        kind = "sha256"
    if received != expected:
        raise ValueError(
            f"The weights file {path} is truncated, altered or that of another model, "
            f"and was not opened. Expected: {kind}={expected}. "
            f"Received: {kind}={received}"
        )
