"""The kinds of places in which published models lie: a folder, a URL, the Hub.

Each offers `inside(name)`, the place of one model; `read(file)`, the bytes of a small
file, or `None` where there is none; `weights(card)`, the checked weights file if the
place can have it on this machine; `urls(card)`, where it can be downloaded; and
`summaries()`, what the models in it are.
"""

import pathlib

from absl import logging

from keras_xcons.printable import printable
from keras_xcons.zoo import card as cards
from keras_xcons.zoo import fetch
from keras_xcons.zoo.plain import LARGEST, read_json

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

    def summaries(self):
        """Returns what its models are, by name; one with a wrong card is left out."""
        found = {}
        for path in sorted(self.path.glob(f"*/{cards.CARD_FILE}")):
            name = path.parent.name
            if not cards.is_name(name):
                continue
            try:
                card = read_card(self.inside(name), name)
                if card is not None:
                    found[name] = cards.summary(card)
            except (ValueError, OSError) as error:
                logging.warning("%s; it is not listed", printable(error))
        return found


class Remote:
    """What the places that are not on this machine have in common, all but `read`."""

    def __init__(self, address):
        self.address = address.rstrip("/")

    def __str__(self):
        return self.address

    def inside(self, name):
        """Returns the place of one of its models."""
        return type(self)(f"{self.address}/{name}")

    def summaries(self):
        """Returns what its models are, by name, as its index says."""
        source = f"The index {self.address}/{INDEX_FILE}"
        try:
            content = self.read(INDEX_FILE)
        except ConnectionError as error:
            logging.warning("%s; its models are not listed", error)
            return {}
        if content is None:
            logging.warning("%s does not exist; its models are not listed", source)
            return {}
        told, wrong = cards.read_index(read_json(content, source), source)
        for reason in wrong:
            logging.warning("%s; it is not listed", printable(reason))
        return told


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
        expected, received = card["sha256"], fetch.sha256(path)
        kind = "sha256"
    if received != expected:
        raise ValueError(
            f"The weights file {path} is truncated, altered or that of another model, "
            f"and was not opened. Expected: {kind}={expected}. "
            f"Received: {kind}={received}"
        )
