"""Where published models are looked for, and in what order."""

import dataclasses
import json
import os
import pathlib

from absl import logging

from keras_xcons import checks
from keras_xcons.writing import whole_file
from keras_xcons.zoo import card as cards
from keras_xcons.zoo import fetch

INDEX_FILE = "index.json"
_CHECKOUT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A published model that was found.

    Attributes:
        card: Its card, checked.
        folder: `pathlib.Path` of the folder of the card, `None` when the card was
            read from a URL.
        urls: Where the weights can be downloaded, in the order to try.
    """

    card: dict
    folder: pathlib.Path | None
    urls: tuple


def cache():
    """Returns the folder of downloaded models, under the Keras home."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    return pathlib.Path(home).expanduser() / "keras_xcons"


def find(name_or_folder):
    """Finds a published model by name or in a local folder.

    Args:
        name_or_folder: As for `keras_xcons.load`.

    Returns:
        An `Entry`. Nothing but its card has been read.

    Raises:
        TypeError: Neither a string nor a path.
        ValueError: Unknown name, or a card that is not as it should be.
        FileNotFoundError: There is no such folder, or no card in it.
        ConnectionError: The model is in no local place, and the zoo that
            `KERAS_XCONS_ZOO` gives by URL cannot be read.
    """
    if not isinstance(name_or_folder, str | os.PathLike):
        raise TypeError(
            "A published model is named by a string or the path of its folder. "
            f"Received: {name_or_folder!r}"
        )
    if _is_path(name_or_folder):
        return _in_folder(pathlib.Path(name_or_folder).expanduser())
    name = name_or_folder
    failure = None
    for place in _places():
        try:
            entry = _look_up(place, name)
        except ConnectionError as error:
            logging.warning("%s; looking for %s elsewhere", error, name)
            failure = error
            continue
        if entry is not None:
            return entry
    if (pathlib.Path(name) / cards.CARD_FILE).is_file():
        return _in_folder(pathlib.Path(name))
    if failure is not None:
        raise failure
    message = checks.unknown("model", name, names())
    if fetch.is_offline():
        message = f"KERAS_XCONS_OFFLINE is set, no URL was asked. {message}"
    raise ValueError(message)


def names():
    """Returns the set of names of all models that can be found."""
    found = set()
    for place in _places():
        if isinstance(place, str):
            found.update(_index(place))
        else:
            found.update(path.parent.name for path in place.glob("*/card.json"))
    return {name for name in found if cards.is_name(name)}


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
    """
    card = entry.card
    if entry.folder is not None:
        path = entry.folder / card["weights"]
        if path.is_file():
            _check(path, card)
            return path
    path = cache() / card["name"] / card["weights"]
    if path.is_file() and fetch.sha256(path) == card["sha256"]:
        return path
    if not entry.urls or fetch.is_offline():
        reason = "KERAS_XCONS_OFFLINE is set" if entry.urls else "the card has no URL"
        raise FileNotFoundError(
            f"The weights of {card['name']!r} are not on this machine ({path} is "
            f"missing or not that of the card), and {reason}. "
            f"Received: urls={list(entry.urls)}"
        )
    _download(entry, path)
    # The card comes second, so that a card in the cache has its weights beside it.
    write_json(path.parent / cards.CARD_FILE, card)
    return path


def _download(entry, path):
    """Downloads the weights of an entry from the first URL that has them."""
    *others, last = entry.urls
    for url in others:
        try:
            return fetch.file(url, path, entry.card["bytes"], entry.card["sha256"])
        except ConnectionError as error:
            logging.warning("%s; trying %s", error, last)
    return fetch.file(last, path, entry.card["bytes"], entry.card["sha256"])


def write_json(path, content):
    """Writes a JSON file that is either whole or as it was before.

    Args:
        path: `pathlib.Path` of the file.
        content: Plain values without NaN or infinity.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def _is_path(name_or_folder):
    if isinstance(name_or_folder, os.PathLike):
        return True
    separators = [separator for separator in (os.sep, os.altsep, "/") if separator]
    return name_or_folder.startswith((".", "~")) or any(
        separator in name_or_folder for separator in separators
    )


def _places():
    """Yields where models lie, a URL as a string and a folder as a path."""
    configured = os.environ.get("KERAS_XCONS_ZOO")
    if configured and cards.is_url(configured):
        if not fetch.is_offline():
            yield configured.rstrip("/")
    elif configured:
        folder = pathlib.Path(configured).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(
                "KERAS_XCONS_ZOO must be an existing folder or an http(s) URL. "
                f"Received: KERAS_XCONS_ZOO={configured!r}"
            )
        yield folder
    # In an installed package the folder above it is not this project's.
    if (_CHECKOUT / "setup.cfg").is_file() and (_CHECKOUT / "zoo").is_dir():
        yield _CHECKOUT / "zoo"
    if cache().is_dir():
        yield cache()


def _look_up(place, name):
    """Returns the `Entry` of a name in one place, `None` when it is not there."""
    if not cards.is_name(name):
        return None
    if isinstance(place, str):
        source = f"{place}/{name}/{cards.CARD_FILE}"
        content = fetch.text(source)
        if content is None:
            return None
        card, folder = cards.parse(content, source), None
        urls = (f"{place}/{name}/{card['weights']}", *_urls(card))
    else:
        folder = place / name
        source = folder / cards.CARD_FILE
        if not source.is_file():
            return None
        card = cards.read(folder)
        urls = _urls(card)
    if card["name"] != name:
        raise ValueError(
            f"The card {source} is that of another model. Expected: name={name!r}. "
            f"Received: name={card['name']!r}"
        )
    return Entry(card, folder, urls)


def _in_folder(folder):
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no such folder. Received: {str(folder)!r}")
    card = cards.read(folder)
    return Entry(card, folder, _urls(card))


def _urls(card):
    return () if card["url"] is None else (card["url"],)


def _index(url):
    source = f"{url}/{INDEX_FILE}"
    try:
        content = fetch.text(source)
    except ConnectionError as error:
        logging.warning("%s; its models are not listed", error)
        return []
    if content is None:
        logging.warning("There is no %s; its models are not listed", source)
        return []
    try:
        listed = json.loads(content)
    except ValueError as error:
        raise ValueError(f"The index {source} is not JSON: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(n, str) for n in listed):
        raise ValueError(f"The index {source} must be a JSON list of names")
    return listed


def _check(path, card):
    """Raises a `ValueError` when a file is not the one of the card."""
    received = fetch.sha256(path)
    if received != card["sha256"]:
        raise ValueError(
            f"The weights file {path} is truncated or altered and was not opened: "
            f"{path.stat().st_size} bytes, the card says {card['bytes']}. "
            f"Expected: sha256={card['sha256']}. Received: sha256={received}"
        )
