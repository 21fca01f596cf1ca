"""What a monitor writes to TensorBoard."""

import numpy as np
import tensorflow as tf

from keras_xcons import checks


class TensorBoardWriter:
    """Event files of a folder, written epoch by epoch.

    Args:
        log_dir: The folder. It is made when the first thing is written.

    Raises:
        ImportError: The package `tensorboard` is not installed.
    """

    def __init__(self, log_dir):
        try:
            import tensorboard  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "Writing to TensorBoard needs the extra `tensorboard`: pip install "
                f'"keras-xcons[tensorboard]". Received: log_dir={str(log_dir)!r}'
            ) from error
        self._log_dir = checks.path("log_dir", log_dir)
        self._writer = None

    def write(self, epoch, scalars, histograms, pictures):
        """Writes what an epoch has shown, and makes sure that it is on the disk.

        Args:
            epoch: The step, counted from 0.
            scalars: Dict from a tag to a number.
            histograms: Dict from a tag to an array of numbers.
            pictures: Dict from a tag to a uint8 array `(H, W, 3)`.
        """
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._log_dir))
        # What was written is flushed when the context ends: a run that breaks off does
        # not come to close the file.
        with self._writer.as_default(step=epoch), tf.summary.record_if(True):
            for tag, value in scalars.items():
                tf.summary.scalar(tag, value)
            for tag, values in histograms.items():
                tf.summary.histogram(tag, values)
            for tag, picture in pictures.items():
                tf.summary.image(tag, picture[None])

    def close(self):
        """Closes the event file; what is written later goes into a new one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def drawn(figure, dpi=100):
    """The pixels of a `matplotlib.figure.Figure`, uint8 `(H, W, 3)`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
