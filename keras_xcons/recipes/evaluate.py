"""The job of `keras-xcons evaluate`: models and data in, a report on disk out."""

import pathlib

from keras_xcons import data, evaluation
from keras_xcons.files import files_together
from keras_xcons.options import fields
from keras_xcons.recipes import ownership
from keras_xcons.recipes.opening import notes_on_names, open_model

_WRITTEN = ("report.html", "report.csv", "report.json")


def evaluate_models(names, dataset, output, report=print, **arguments):
    """Evaluates models and writes the report.

    Written into `output`, once everything has been measured: `report.html`,
    `report.csv` and `report.json`, all or none. Files of these names that this
    function has not written are refused.

    Args:
        names: The models, see `open_model`.
        dataset: Name or folder of the data set.
        output: Folder for the report.
        report: Function that is told each line for the user. Defaults to `print`.
        **arguments: Of `keras_xcons.evaluate`.

    Returns:
        The `keras_xcons.report.Report`.

    Raises:
        ValueError, TypeError, OSError: A model, the data set, an argument or the
            folder will not do; found out before any model runs.

    Example:

    >>> evaluate_models(["shapes_cnn"], "shapes", "/tmp/evaluation")
    """
    # Before a model is loaded.
    known = fields(evaluation.EvaluationOptions)
    chosen = {name: value for name, value in arguments.items() if name in known}
    evaluation.EvaluationOptions(**chosen)
    with ownership.job_folder(output, _WRITTEN, _is_report) as folder:
        models = {
            label: open_model(name)
            for label, name in zip(_labels(names), names, strict=True)
        }
        classes = data.info(dataset).class_names
        found = evaluation.evaluate(
            {label: model for label, (model, _) in models.items()},
            dataset,
            notes=[
                note
                for label, (_, names) in models.items()
                for note in notes_on_names(label, names, classes)
            ],
            **arguments,
        )
        with files_together(folder) as staging:
            found.to_html(staging / "report.html")
            found.to_csv(staging / "report.csv")
            found.to_json(staging / "report.json")
    report(f"\n{found}\nWritten to {folder}: {', '.join(_WRITTEN)}")
    return found


def _is_report(found):
    """Whether a JSON object is what an evaluation has written."""
    told = found.get("provenance")
    versions = told.get("versions") if isinstance(told, dict) else None
    return isinstance(versions, dict) and "keras_xcons" in versions


def _labels(names):
    """A short name for each model; models of the same name get a number."""
    labels = []
    for name in names:
        stem = pathlib.Path(name).stem if name.endswith(".keras") else str(name)
        stem = pathlib.Path(stem).name
        label, number = stem, 1
        while label in labels:
            number += 1
            label = f"{stem}_{number}"
        labels.append(label)
    return labels
