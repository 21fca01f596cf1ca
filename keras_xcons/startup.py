"""What has to happen before TensorFlow is imported."""

import os


def import_tensorflow_quietly():
    """Imports TensorFlow without the notes on the machine that it prints.

    It writes them to the standard error stream of the process before its log levels
    apply. A command should print its own lines alone; errors still come as
    exceptions.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stream, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow  # noqa: F401
    finally:
        os.dup2(stream, 2)
        os.close(stream)
        os.close(nowhere)
