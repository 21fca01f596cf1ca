"""Trains a network from random weights, for models that start from something learned.

    python tools/pretrain.py --model=resnet18 --dataset=DIR/tiny_imagenet_300 \
        --phases=32x8,64x4 --output=runs/resnet18_tiny_imagenet

A run that was stopped goes on when the same command is given again. It is plain Keras,
so KERAS_BACKEND=jax (or torch) runs it as well.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_DATASET = flags.DEFINE_string("dataset", None, "Data set: name or folder.")
_MODEL = flags.DEFINE_string("model", None, "Architecture.")
_PHASES = flags.DEFINE_list(
    "phases", ["32x8", "64x4"], "SIZExEPOCHS in order, sizes in pixels."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for weights and figures.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images a step.")
_OPTIMIZER = flags.DEFINE_string("optimizer", "sgd", "sgd or adamw.")
_RATE = flags.DEFINE_float(
    "learning_rate", None, "Peak learning rate. Default: 0.1 of sgd, 0.001 of adamw."
)
_DECAY = flags.DEFINE_float(
    "weight_decay", None, "Decoupled. Default: 0.0001 of sgd, 0.05 of adamw."
)
_ZERO = flags.DEFINE_bool(
    "zero_residual", False, "Let each residual block begin as the identity."
)
_SMOOTHING = flags.DEFINE_float("label_smoothing", 0.1, "Label smoothing.")
_DTYPE = flags.DEFINE_string("dtype", "float32", "Keras dtype policy.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of weights, order and augmentation.")
_STEPS = flags.DEFINE_integer(
    "steps_per_epoch", None, "Steps an epoch. Default: the whole training set."
)
flags.mark_flags_as_required(["dataset", "model", "output"])


def _phase(text):
    size, times, epochs = text.partition("x")
    numbers = all(one.isdecimal() and len(one) < 10 for one in (size, epochs))
    if not (times and numbers):
        raise app.UsageError(f"A phase is SIZExEPOCHS, as 64x4. Received: {text!r}")
    return int(size), int(epochs)


def main(argv):
    """Trains the network that the flags describe."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    phases = tuple(_phase(text) for text in _PHASES.value)
    from keras_xcons.files import InUseError
    from keras_xcons.recipes.pretrain_options import PretrainOptions
    from keras_xcons.recipes.pretraining import pretrain

    options = PretrainOptions(
        dataset=_DATASET.value,
        model=_MODEL.value,
        phases=phases,
        batch_size=_BATCH_SIZE.value,
        optimizer=_OPTIMIZER.value,
        learning_rate=_RATE.value,
        weight_decay=_DECAY.value,
        zero_residual=_ZERO.value,
        label_smoothing=_SMOOTHING.value,
        dtype=_DTYPE.value,
        seed=_SEED.value,
        steps_per_epoch=_STEPS.value,
    )
    try:
        pretrain(options, _OUTPUT.value)
    except (InUseError, FileExistsError) as error:
        sys.exit(f"pretrain: error: {error}")


if __name__ == "__main__":
    app.run(main)
