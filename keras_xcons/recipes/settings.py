"""What a run depends on, which tells whether a stopped one may be continued."""

import dataclasses
import json
import shutil

from keras_xcons.files import sha256_of_file, write_json
from keras_xcons.recipes import ownership

_FILE = "settings.json"


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
        found["pretrained"] = sha256_of_file(found["pretrained"])
    return found


def settings_of(output):
    """The settings that a job with the folder `output` has kept, `None` if it has none.

    Args:
        output: The output folder.

    Returns:
        Dict of plain values, or `None`.
    """
    return ownership.read_object(ownership.unfinished(output) / _FILE)


def begin_or_continue(folder, settings, report, results=()):
    """Whether a job is continued; what one with other settings has kept is removed.

    Args:
        folder: `pathlib.Path` of what it keeps, from `ownership.claim`.
        settings: Dict of plain values, all that the job depends on.
        report: Function that is told before anything is removed, and why.
        results: `pathlib.Path`s of what an earlier job has written elsewhere, that must
            not be taken for the result of this one. Defaults to `()`.

    Returns:
        Whether the settings are those of the earlier job.
    """
    # As JSON has it, with lists in the place of tuples.
    settings = json.loads(json.dumps(settings))
    path = folder / _FILE
    found = ownership.read_object(path)
    if found == settings:
        return True
    others = [one for one in folder.iterdir() if one.name != ownership.MARKER]
    if others and ownership.has_settings(folder, settings):
        report(f"{path} is damaged; a copy of its digest shows the same settings")
        write_json(path, settings)
        return True
    if others and found is None:
        report(
            f"{path} is damaged or missing; what else {folder} holds is removed, as it "
            "may be of other settings"
        )
    elif others:
        names = sorted(found.keys() | settings.keys())
        other = [name for name in names if found.get(name) != settings.get(name)]
        report(
            f"What an earlier run left in {folder} is removed, as its settings were "
            f"others: {', '.join(other)}"
        )
    for one in (*others, *results):
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one)
        else:
            one.unlink(missing_ok=True)
    ownership.note_settings(folder, settings)
    write_json(path, settings)
    return False
