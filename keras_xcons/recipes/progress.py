"""What of a job is done already, so that a stopped one goes on where it was."""

import os

import keras

from keras_xcons.files import remove_folder, sha256_of_file, write_json
from keras_xcons.recipes import ownership, run_files
from keras_xcons.recipes.resuming import Backup
from keras_xcons.recipes.settings import begin_or_continue


class Progress:
    """The finished and unfinished runs of a job, in the folder `unfinished` of it.

    Args:
        output: `pathlib.Path` of the output folder, from `ownership.job_folder`.
        settings: Dict of plain JSON values, all that the job depends on. The remains
            of a job with other settings are removed.
        report: Function that is told before anything is removed. Defaults to `print`.
        models: `pathlib.Path` of the folder for the models of finished runs. Defaults
            to `None`: beside what else is kept, until the job is done.

    Attributes:
        found: Whether there is something to go on with.

    Raises:
        FileExistsError: A user's own file, folder or link is called `unfinished`.

    Example:

    >>> progress = Progress(folder, {"epochs": 6})
    >>> model = progress.resume("plain", experiment.plain)
    >>> progress.done()
    """

    def __init__(self, output, settings, report=print, models=None):
        self._folder = ownership.claim(output)
        self._models = models or self._folder
        self._report = report
        self._damaged = set()
        # Another job's remains would be continued with other settings.
        self.found = begin_or_continue(self._folder, settings, report)

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
        path = self.path(run)
        if self.is_finished(run):
            return keras.saving.load_model(path, compile=False)
        model, _ = function([Backup(self._folder / run, self._report)])
        if path in self._damaged:
            # It may be the user's by now.
            os.replace(path, path.with_name(f"{path.name}.damaged"))
        run_files.save_model(model, path)
        write_json(self._finished(run), {"sha256": sha256_of_file(path)})
        return model

    def path(self, run):
        """`pathlib.Path` of the model of a run, once it is finished."""
        return self._models / f"{run}.keras"

    def is_finished(self, run):
        """Whether a run has been finished, so that `resume` will only load it."""
        finished, path = self._finished(run), self.path(run)
        if not (finished.exists() and path.is_file()):
            return False
        told = ownership.read_object(finished) or {}
        if told.get("sha256") == sha256_of_file(path):
            return True
        if path not in self._damaged:
            self._damaged.add(path)
            self._report(
                f"{path} is damaged, or no longer what the run has written: it is kept "
                f"as {path.name}.damaged, and the run goes on from its last checkpoint"
            )
        return False

    def _finished(self, run):
        return self._folder / f"{run}.finished.json"

    def done(self):
        """Forgets what was kept to go on with."""
        remove_folder(self._folder)
