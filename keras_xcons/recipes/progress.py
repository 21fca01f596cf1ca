"""What of a job is done already, so that a stopped one goes on where it was."""

import pathlib
import shutil

import keras

from keras_xcons.recipes import files
from keras_xcons.recipes.resuming import Backup
from keras_xcons.recipes.settings import begin_or_continue


class Progress:
    """The finished and unfinished runs of a job, in the folder `unfinished` of it.

    Args:
        output: `pathlib.Path` of an existing folder.
        settings: Dict of plain JSON values, all that the job depends on. The remains
            of a job with other settings are removed.
        report: Function that is told before anything is removed. Defaults to `print`.

    Attributes:
        found: Whether there is something to go on with.

    Example:

    >>> progress = Progress(folder, {"epochs": 6})
    >>> model = progress.resume("plain", experiment.plain)
    >>> progress.done()
    """

    def __init__(self, output, settings, report=print):
        self._output = pathlib.Path(output)
        self._folder = self._output / "unfinished"
        self._folder.mkdir(exist_ok=True)
        written = settings_file(output)
        # Another job's remains would be continued with other settings.
        remains = (path for path in self._folder.iterdir() if path != written)
        self.found = begin_or_continue(written, settings, remains, report)

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
        if self.is_finished(run):
            return keras.saving.load_model(path, compile=False)
        model, _ = function([Backup(self._folder / run)])
        files.save_model(model, path)
        (self._folder / f"{run}.finished").touch()
        return model

    def is_finished(self, run):
        """Whether a run has been finished, so that `resume` will only load it."""
        finished = self._folder / f"{run}.finished"
        return finished.exists() and (self._output / f"{run}.keras").exists()

    def done(self):
        """Forgets what was kept to go on with."""
        shutil.rmtree(self._folder)


def settings_file(output):
    """The file in which a job with the folder `output` keeps its settings."""
    return pathlib.Path(output) / "unfinished" / "settings.json"
