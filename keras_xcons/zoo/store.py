"""Where published models are looked for, and in what order."""

import dataclasses
import os
import pathlib

from absl import logging

from keras_xcons import checks
from keras_xcons.files import read_json, sha256_of_file, write_json
from keras_xcons.offline import is_offline
from keras_xcons.zoo import cache, fetch
from keras_xcons.zoo import card as cards
from keras_xcons.zoo.hub import Hub
from keras_xcons.zoo.places import Folder, Web, read_card

_CHECKOUT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A published model that was found.

    Attributes:
        card: Its card, checked.
        place: The place of its card, see `keras_xcons.zoo.places`.
    """

    card: dict
    place: object

    def metrics(self):
        """Returns what its evaluator wrote, a dict, `None` where it does not lie."""
        content = self.place.read(cards.METRICS_FILE)
        if content is None:
            return None
        source = f"The file {self.place}/{cards.METRICS_FILE}"
        metrics = read_json(content, source)
        if not isinstance(metrics, dict):
            raise ValueError(
                f"{source} must be a JSON object. Received: {type(metrics).__name__}"
            )
        return metrics


def find(name):
    """Finds a published model by name, in a local folder or at an address.

    Args:
        name: As for `keras_xcons.load`.

    Returns:
        An `Entry`. Nothing but its card has been read.

    Raises:
        TypeError: Neither a string nor a path.
        ValueError: Unknown name, or a card that is not as it should be.
        FileNotFoundError: There is no such folder, or no card in it.
        ConnectionError: The model is in no local place, and the zoo that
            `KERAS_XCONS_ZOO` gives by its address cannot be read.
        ImportError: An `hf://` address without `huggingface_hub`.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(
            "A published model is named by a string or the path of its folder. "
            f"Received: {name!r}"
        )
    if isinstance(name, os.PathLike) or _is_path(name):
        return _at(_place(os.fspath(name)))
    failure = None
    for place in _places():
        try:
            entry = _look_up(place, name)
        except ConnectionError as error:
            if not is_offline():
                logging.warning("%s; looking for %s elsewhere", error, name)
            failure = error
            continue
        if entry is not None:
            return entry
    # Unlike pathlib, os.path takes a name that is too long for one that is not there.
    if os.path.isfile(os.path.join(name, cards.CARD_FILE)):
        return _at(Folder(name))
    if failure is not None and not is_offline():
        raise failure
    message = checks.unknown("model", name, summaries())
    if is_offline():
        message = f"KERAS_XCONS_OFFLINE is set, no URL was asked. {message}"
    for origin, _ in cache.found():
        if origin.rpartition("/")[2] == name and "://" in origin.partition(" ")[0]:
            message = f"There is a download of {origin}: load that address. {message}"
    raise ValueError(message)


def summaries():
    """Returns what all models that can be found are, a dict by name."""
    found = {}
    for place in _places():
        found = {**place.summaries(), **found}
    return found


def weights_file(entry):
    """Returns a weights file whose sha256 is that of the card.

    Args:
        entry: An `Entry`.

    Returns:
        `pathlib.Path` of the file: beside the card, else in the cache, else
        downloaded into the cache.

    Raises:
        ValueError: The file differs from what the card says. It was not opened.
        FileNotFoundError: The file is nowhere, and there is no URL or
            `KERAS_XCONS_OFFLINE` is set.
        ConnectionError: The download failed; nothing of it is left.
        OSError: The cache cannot be written to, or has no space left.
    """
    card = entry.card
    path = entry.place.weights(card)
    return _from_cache(entry) if path is None else path


def _from_cache(entry):
    """The weights file in the cache, downloaded where it is not there."""
    card, place = entry.card, entry.place
    origin = place.origin(card)
    path = cache.folder(origin) / card["weights"]

    def is_right():
        return path.is_file() and sha256_of_file(path) == card["sha256"]

    def is_whole():
        return is_right() and (isinstance(place, Folder) or _kept_card(place) == card)

    if is_whole():
        return path
    urls = place.urls(card)
    if card["url"] is not None:
        urls = (*urls, card["url"])
    there = is_right()
    if not there and (not urls or is_offline()):
        beside = isinstance(place, Folder) and not urls
        missing = place.path / card["weights"] if beside else path
        reason = "KERAS_XCONS_OFFLINE is set" if urls else "the card has no URL"
        raise FileNotFoundError(
            f"The weights of {card['name']!r} are not on this machine ({missing} is "
            f"missing or not that of the card), and {reason}. "
            f"Received: urls={list(urls)}"
        )
    try:
        with cache.replacing(origin, card["bytes"], is_whole) as staging:
            if staging is not None:
                _fill(staging, entry, path, urls)
    except OSError as error:
        # What is right can be used, whatever else is to be put beside it.
        if isinstance(error, ConnectionError) or not (there and is_right()):
            raise
        logging.warning("%s; the weights are there all the same", error)
    return path


def _fill(staging, entry, path, urls):
    """Puts into a folder what is to replace what the cache has of a model."""
    card = entry.card
    if not (path.is_file() and sha256_of_file(path) == card["sha256"]):
        _download(urls, staging / card["weights"], card)
    if isinstance(entry.place, Folder):
        return  # its card stays where it is
    metrics = _metrics_or_none(entry)
    if metrics is None:
        (path.parent / cards.METRICS_FILE).unlink(missing_ok=True)
    else:
        write_json(staging / cards.METRICS_FILE, metrics)
    write_json(staging / cards.CARD_FILE, card)


def _kept_card(place):
    """The card in the cache, `None` where there is none that can be read."""
    kept = place.kept()
    try:
        return None if kept is None else read_card(kept)
    except (ValueError, OSError):
        return None


def _download(urls, path, card):
    """Downloads a weights file from the first URL that has it."""
    *others, last = urls
    for url in others:
        try:
            return fetch.file(url, path, card["bytes"], card["sha256"])
        except ConnectionError as error:
            logging.warning("%s; trying %s", error, last)
    return fetch.file(last, path, card["bytes"], card["sha256"])


def _metrics_or_none(entry):
    """The metrics that go into the cache, for which no download need fail."""
    try:
        return entry.metrics()
    except (ConnectionError, ValueError) as error:
        logging.warning("%s; the weights are there all the same", error)
        return None


def _is_path(text):
    separators = [separator for separator in (os.sep, os.altsep, "/") if separator]
    return text.startswith((".", "~")) or any(one in text for one in separators)


def _place(text):
    """The place that a path or an address means."""
    if text.startswith("hf://"):
        return Hub(text)
    if cards.is_url(text):
        return Web(text)
    if "://" in text:
        raise ValueError(
            "The address of a model must be a URL http(s)://... in ASCII characters, "
            f"or hf://owner/repository. Received: {text!r}"
        )
    return Folder(pathlib.Path(text).expanduser())


def _places():
    """Yields the places of many models, in the order in which they are asked."""
    configured = os.environ.get("KERAS_XCONS_ZOO")
    if configured:
        place = _place(configured)
        if isinstance(place, Folder) and not os.path.isdir(place.path):
            raise FileNotFoundError(
                "KERAS_XCONS_ZOO must be an existing folder, an http(s) URL or an "
                f"hf:// address. Received: KERAS_XCONS_ZOO={configured!r}"
            )
        yield place
    # In an installed package the folder above it is not this project's.
    if (_CHECKOUT / "setup.cfg").is_file() and (_CHECKOUT / "zoo").is_dir():
        yield Folder(_CHECKOUT / "zoo")


def _look_up(place, name):
    """Returns the `Entry` of a name in one place, `None` when it is not there."""
    if not cards.is_name(name):
        return None
    return _entry(place.inside(name), name)


def _at(place):
    """Returns the `Entry` of the one model in a place."""
    if isinstance(place, Folder) and not os.path.isdir(place.path):
        raise FileNotFoundError(f"There is no such folder. Received: {str(place)!r}")
    entry = _entry(place)
    if entry is None:
        raise FileNotFoundError(
            f"The place of a published model holds a {cards.CARD_FILE}; there is none. "
            f"Received: {str(place)!r}"
        )
    return entry


def _entry(place, name=None):
    """Returns the `Entry` of the one model in a place, `None` where there is none.

    Where the place does not answer, it is what was downloaded from there before.
    """
    try:
        card = read_card(place, name)
    except ConnectionError as error:
        kept = place.kept()
        card = None if kept is None else read_card(kept, name)
        if card is None:
            raise
        if not is_offline():
            logging.warning("%s; what was downloaded before is taken", error)
        place = kept
    return None if card is None else Entry(card, place)
