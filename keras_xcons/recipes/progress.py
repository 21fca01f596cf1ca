"""What of a job is done already, so that a stopped one goes on where it was."""

import json
import pathlib
import shutil

import keras

from keras_xcons.recipes import files
from keras_xcons.recipes.resuming import Backup
from keras_xcons.zoo.plain import write_json


class Progress:
    """The finished and unfinished runs of a job, in the folder `unfinished` of it.

    Args:
        output: `pathlib.Path` of an existing folder.
        settings: Dict of plain JSON values, all that the job depends on. The remains
            of a job with other settings are removed.

    Attributes:
        found: Whether there is something to go on with.

    Example:

    >>> progress = Progress(folder, {"epochs": 6})
    >>> model = progress.resume("plain", experiment.plain)
    >>> progress.done()
    """

    def __init__(self, output, settings):
        self._output = pathlib.Path(output)
        self._folder = self._output / "unfinished"
        written = self._folder / "settings.json"
        # As JSON has it, with lists in the place of tuples.
        settings = json.loads(json.dumps(settings))
        self.found = _read(written) == settings
        if not self.found:
            # Another job's remains would be continued with other settings.
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
            write_json(written, settings)

    def resume(self, run, function):
        """The model of a run: loaded if it is finished, else trained on.

        Args:
            run: Name of the run; its model is written into `<run>.keras`.
            function: Function that takes a list of callbacks for `fit`, which make
                it go on after its last whole epoch, and returns the trained model
                and the history of the fit, as the runs of an `Experiment` do.

        Returns:
            The `keras.Model`.
        """
        path = self._output / f"{run}.keras"
        finished = self._folder / f"{run}.finished"
        if finished.exists() and path.exists():
            return keras.saving.load_model(path, compile=False)
        model, _ = function([Backup(self._folder / run)])
        files.save_model(model, path)
        finished.touch()
        return model

    def done(self):
        """Forgets what was kept to go on with."""
        shutil.rmtree(self._folder)


def _read(path):
    """What a JSON file holds, or `None` where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
