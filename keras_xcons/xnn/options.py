"""The options of XNN."""

from keras_xcons import checks
from keras_xcons.options import Options, option, table

ORTHOGONAL = ("features", "images")
IMAGES = {
    "orthogonal": "images",
    "reconstruction_weight": 10.0,
    "pull_away_weight": 10.0,
}


def _hidden(value):
    if not isinstance(value, list | tuple) or not value:
        raise TypeError(
            "`hidden` must be a tuple or list of widths, one a hidden layer. Received: "
            f"hidden={checks.shown(value)}"
        )
    for each in value:
        checks.positive_int("hidden", each)
    return tuple(int(each) for each in value)


def _classes(value):
    if value is None:
        return None
    try:
        found = [int(each) for each in value]
        exact = all(a == b for a, b in zip(found, value, strict=True))
        exact = exact and not any(isinstance(each, bool) for each in value)
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact or isinstance(value, str | dict):
        raise TypeError(
            "`classes` must be a list of ints, or None for all classes. Received: "
            f"classes={checks.shown(value)}"
        )
    if not found or len(set(found)) < len(found):
        raise ValueError(
            "`classes` must name one class or more, each once. Received: "
            f"classes={checks.shown(value)}"
        )
    return tuple(found)


def _typed(text):
    """What is typed for a list of ints: `0,3`, with brackets or without; or `none`."""
    words = text.strip("()[] ").split(",")
    if text.strip().lower() == "none":
        return None
    if not all(word.strip().isdecimal() for word in words if word.strip()):
        # Refused by the option, in its own words.
        return text
    return tuple(int(word) for word in words if word.strip())


@table
class XNNOptions(Options):
    """The options of XNN.

    Raises:
        TypeError, ValueError: An option is not accepted.
    """

    presets = {"images": IMAGES}

    preset: str | None = option(
        None,
        "images: what the paper takes to make contributions orthogonal along images, "
        "as defaults of the other options: "
        + ", ".join(f"{name}={value!r}" for name, value in IMAGES.items())
        + ". None: along x-features.",
        choices=(None, "images"),
    )

    classes: tuple | None = option(
        None,
        "Classes to explain, by index. Default: all.",
        check=_classes,
        parse=_typed,
    )
    num_features: int = option(5, "x-features of a class.", low=1, high=1000)
    hidden: tuple = option(
        (100, 30),
        "Widths of the encoder's hidden layers. The paper took 800 and 100 for 4,096 "
        "features.",
        check=_hidden,
        parse=_typed,
    )
    sparsity: float = option(
        100.0,
        "q: how soon the logarithm flattens, so that only a part of the features is "
        "reconstructed well.",
        above=0.0,
    )
    prediction_weight: float = option(
        1.0, "Factor of the squared error of the score.", low=0.0
    )
    reconstruction_weight: float = option(
        15.0, "Factor of the reconstruction of the features.", low=0.0
    )
    pull_away_weight: float = option(
        5.0, "Factor of the term that makes contributions orthogonal.", low=0.0
    )
    orthogonal: str = option(
        "features",
        "Along what contributions are made orthogonal.",
        choices=ORTHOGONAL,
    )
    epochs: int = option(50, "Epochs of the joint training.", low=1)
    pretraining_epochs: int = option(
        5, "Epochs in which each layer is first trained as an autoencoder.", low=0
    )
    batch_size: int = option(50, "Images of a step.", low=2)
    learning_rate: float = option(1e-3, "Rate of Adam.", above=0.0)
    weight_decay: float = option(1e-4, "Weight decay.", low=0.0)
    retries: int = option(
        5,
        "How often a class is trained anew whose second x-feature contributes less "
        "than 0.3 of its first, with 1.2 of the reconstruction's and 0.8 of the "
        "pull-away term's weight.",
        low=0,
    )
    seed: int = option(0, "Seed of weights and order.", low=0, high=2**31 - 1)
