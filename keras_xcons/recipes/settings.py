"""What a run depends on, which tells whether a stopped one may be continued."""

import dataclasses
import json
import shutil

from keras_xcons.zoo.fetch import sha256
from keras_xcons.zoo.plain import write_json


def identity(options, info):
    """The settings of a run, whatever its files are called on this machine.

    Args:
        options: `TrainOptions` or `PretrainOptions`.
        info: `keras_xcons.data.DatasetInfo` of its data.

    Returns:
        Dict of plain values: the options without the output folder, what the data set
        holds in the place of where it lies, and the sha256 of the file of weights in
        the place of its path.

    Example:

    >>> options = TrainOptions("shapes")
    >>> identity(options, data.info("shapes"))["dataset"]["name"]
    'shapes'
    """
    found = dataclasses.asdict(options)
    found.pop("output", None)
    found["dataset"] = {
        "name": info.name,
        "splits": dict(info.splits),
        "class_names": list(info.class_names),
    }
    if found.get("pretrained") not in (None, "imagenet"):
        found["pretrained"] = sha256(found["pretrained"])
    return found


def read_settings(path):
    """The settings that a run has written, or `None` where there are none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def begin_or_continue(path, settings, remains, report):
    """Whether a run is continued; the remains of one with other settings are removed.

    Args:
        path: `pathlib.Path` of the file of settings, in an existing folder.
        settings: Dict of plain values, all that the run depends on.
        remains: `pathlib.Path`s of what an earlier run may have left.
        report: Function that is told before anything is removed, and why.

    Returns:
        Whether the settings are those of the earlier run.
    """
    # As JSON has it, with lists in the place of tuples.
    settings = json.loads(json.dumps(settings))
    found = read_settings(path)
    if found == settings:
        return True
    if found is not None:
        names = sorted(found.keys() | settings.keys())
        other = [name for name in names if found.get(name) != settings.get(name)]
        report(
            f"What an earlier run left in {path.parent} is removed, as its settings "
            f"were others: {', '.join(other)}"
        )
    for one in remains:
        if one.is_dir():
            shutil.rmtree(one)
        else:
            one.unlink(missing_ok=True)
    write_json(path, settings)
    return False
