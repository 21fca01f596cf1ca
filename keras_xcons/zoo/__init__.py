"""The zoo: published models, plain data that is checked before it is opened."""

import fnmatch

from keras_xcons import checks
from keras_xcons.models.weights import load_weights
from keras_xcons.zoo import store
from keras_xcons.zoo.building import build
from keras_xcons.zoo.checking import answers, check_image, difference
from keras_xcons.zoo.offsets import remember_offset_of
from keras_xcons.zoo.publishing import publish

__all__ = [
    "check_image",
    "download",
    "info",
    "list_models",
    "load",
    "publish",
    "summaries",
    "verify",
]


def list_models(pattern="*", *, dataset=None, method=None, architecture=None):
    """Returns the names of the published models that can be found.

    All four arguments take the wildcards `*`, `?` and `[...]`, and a model is listed
    when all that are given match.

    Args:
        pattern: Name of the model; `"*_cub*"` for everything with `_cub` in its name.
            Defaults to `"*"`.
        dataset: Short name of the data set it was trained on, such as
            `"cub200_first50"`; `"cub*"` for any of CUB's subsets. Defaults to `None`,
            which is any.
        method: How it was trained, such as `"xcons"` or `"plain"`. Defaults to
            `None`.
        architecture: Name of its architecture. A model that is built on the network
            of another architecture, as a ProtoPNet is, is found by either name:
            `"protopnet"` finds the ProtoPNets, and `"resnet18"` the ResNet-18
            classifiers and the ProtoPNets on a ResNet-18. Defaults to `None`.

    Returns:
        A sorted list of names, empty when nothing matches. A zoo that
        `KERAS_XCONS_ZOO` gives by its address is listed from its `index.json`; when
        that cannot be read, a warning is logged and what was downloaded from there is
        listed. A model whose card, or entry of the index, is wrong is left out with a
        warning that says why.

    Raises:
        TypeError: An argument is not a string.
        FileNotFoundError: `KERAS_XCONS_ZOO` names a folder that does not exist.

    Example:

    >>> kx.list_models("no_such_model*", dataset="cub*", method="xcons")
    []
    """
    filters = {"dataset": dataset, "method": method, "architecture": architecture}
    return sorted(summaries(pattern, **filters))


def summaries(pattern="*", *, dataset=None, method=None, architecture=None):
    """Returns what the published models are that can be found.

    Args:
        pattern: As for `list_models`.
        dataset: As for `list_models`.
        method: As for `list_models`.
        architecture: As for `list_models`.

    Returns:
        A dict, sorted by name, from the name of a model to a dict of its
        `architecture` and `arguments`, `dataset`, `method` and number of
        `parameters`.

    Raises:
        TypeError: An argument is not a string.
        FileNotFoundError: As for `list_models`.

    Example:

    >>> kx.zoo.summaries("resnet18*")
    """
    wanted = {"dataset": dataset, "method": method, "architecture": architecture}
    for name, value in {"pattern": pattern, **wanted}.items():
        if not (isinstance(value, str) or (value is None and name in wanted)):
            raise TypeError(
                f"`{name}` must be a string, which may hold the wildcards *, ? and "
                f"[...]. Received: {name}={value!r}"
            )

    def matches(name, told):
        backbone = told["arguments"].get("backbone", told["architecture"])
        named = {
            "dataset": (told["dataset"],),
            "method": (told["method"],),
            "architecture": (told["architecture"], str(backbone)),
        }
        return fnmatch.fnmatchcase(name, pattern) and all(
            wanted[field] is None or fnmatch.filter(values, wanted[field])
            for field, values in named.items()
        )

    found = sorted(store.summaries().items())
    return {name: told for name, told in found if matches(name, told)}


def info(name):
    """Returns what is known of a published model: its card and its metrics.

    Args:
        name: As for `load`.

    Returns:
        A dict: `name`, `architecture` and its `arguments`, `input_size`,
        `class_names`, `feature_layer`, `explainer` (by which its heatmaps were
        measured), `offset` (how far its heatmaps are moved, in
        pixels, see `keras_xcons.calibrate`; absent or `None` if not measured),
        `parameters`, `method`, `dataset` (its short name), `data` and `pretraining`
        (in words), `recipe`, `check` (the `logits` and the `heatmap` of `check_image`),
        `data_license`, `weights_license`, `paper`, `created_with`, the `weights` file
        with its `url`, `sha256` and `bytes`, and `metrics`, what the
        evaluator wrote, `None` where that cannot be found.

    Raises:
        ValueError: Unknown name, or a card with a missing or unknown field.
        FileNotFoundError: There is no such folder, or no card in it.
        ConnectionError: The place of the model does not answer.

    Example:

    >>> kx.info("shapes_cnn")["class_names"]
    """
    entry = store.find(name)
    return {**entry.card, "metrics": entry.metrics()}


def download(name):
    """Makes sure that the weights of a published model lie on this machine.

    Args:
        name: As for `load`.

    Returns:
        `pathlib.Path` of the weights file, its sha256 checked: where the model
        was found if the file is there, else in the cache under the Keras home.

    Raises:
        ValueError: Unknown name, or a file that differs from what the card says.
        ConnectionError: The download failed; nothing of it is left.
        FileNotFoundError: The file is nowhere, and it has no URL or
            `KERAS_XCONS_OFFLINE` is set.
        OSError: The cache cannot be written to, or has no space left.

    Example:

    >>> path = kx.download("shapes_cnn")
    """
    return store.weights_file(store.find(name))


def load(name):
    """Loads a published model.

    A name is looked up in the folder or at the address that `KERAS_XCONS_ZOO` gives and
    in the `zoo/` of a checkout. Weights that are not beside the card are taken from the
    cache under the Keras home, else downloaded into it, unless `KERAS_XCONS_OFFLINE=1`.
    What came from an address is kept under that address: where it does not answer, the
    model is opened from the cache, by its address or its name in the zoo there. The
    sha256 of a file is checked before it is opened.

    Args:
        name: A name of `list_models()`; or the path of a folder that holds a
            `card.json` and the weights file; or the address of such a folder,
            `https://...` or, on the Hugging Face Hub, `hf://owner/repository` with
            `/subfolder` where it is not the root, which needs the extra `hub`. A
            string is a path when it has a separator or begins with `.` or `~`; any
            other string is first looked up as a name.

    Returns:
        A `keras.Model` with the variables of the present dtype policy, float32 unless
        that says otherwise: images `(B, H, W, 3)` in 0..255 in, uint8 or floating
        point, logits `(B, C)` out. What the classes are called is in
        `info(name)["class_names"]`. It knows the offset of its heatmaps if its card
        does, see `keras_xcons.calibrate`.

    Raises:
        ValueError: Unknown name; a card with a missing or unknown field, or of an
            architecture that this version does not know; or a file that differs from
            what the card says.
        ConnectionError: The download failed; nothing of it is left.
        FileNotFoundError: There is no such folder, or the weights are nowhere.
        OSError: The cache cannot be written to, or has no space left.
        ImportError: An `hf://` address without `huggingface_hub`.

    Example:

    >>> model = kx.load("shapes_cnn")
    >>> logits = model.predict(images)
    """
    entry = store.find(name)
    # Built first: what this version cannot build need not be downloaded.
    built = build(entry.card)
    load_weights(built, store.weights_file(entry))
    remember_offset_of(entry.card, built)
    return built


def verify(name, tolerance=0.01):
    """Loads a published model and compares its answers with those of its card.

    Logits and a heatmap, by the card's explainer, are computed on `check_image`, in
    float32 whatever the dtype policy is. Cards of format 1 have no heatmap.

    Args:
        name: As for `load`.
        tolerance: How far a logit may lie from the card's, as a share of the card's
            largest logit, and a cell of the heatmap, of the largest cell. Defaults to
            0.01, our choice: different processors stay below 0.001, another
            preprocessing is far above.

    Returns:
        The largest difference, as such a share.

    Raises:
        ValueError: A logit or a cell of the heatmap differs by more than the
            tolerance, the explainer is not known, or as for `load`.
        ConnectionError: As for `load`.
        FileNotFoundError: As for `load`.

    Example:

    >>> kx.zoo.verify("shapes_cnn") < 0.01
    True
    """
    checks.within("tolerance", tolerance, 0.0, None)
    entry = store.find(name)
    received = answers(entry.card, store.weights_file(entry))
    shares = {
        what: difference(expected, received[what])
        for what, expected in entry.card["check"].items()
        if expected is not None
    }
    for what, share in shares.items():
        if not share <= tolerance:
            raise ValueError(
                f"The {what} of {entry.card['name']!r} on the check image must be as "
                f"its card says: the difference is {share:.3g} of the largest value, "
                f"where {tolerance:.3g} is allowed. Received: name={name!r}"
            )
    return float(max(shares.values()))
