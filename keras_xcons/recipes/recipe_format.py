"""The form of a recipe: what its parts may hold, and that of earlier versions."""

import dataclasses

from keras_xcons import checks
from keras_xcons.methods import method_of, methods
from keras_xcons.options import fields
from keras_xcons.recipes.following import FollowOptions
from keras_xcons.recipes.options import TrainOptions
from keras_xcons.recipes.pretrain_options import PretrainOptions

FORMAT = 2
PRETRAINING = "pretraining"
# Of a method that follows a training: the model that it explains.
STARTS_FROM = "starts_from"
# What each part may hold, beside the fields of the options.
MODEL = ("architecture", "arguments", "objective", "stages")
EVALUATION = ("metrics", "explainer")
CARD = ("data", "pretraining", "data_license", "weights_license")
METRICS = ("classification", "localisation", "complexity", "consistency")
# What `control` was, of XCons in format 1.
_CONTROLS = {
    "uniform": {"sample_weights": "uniform"},
    "shuffled": {"sample_weights": "shuffled"},
    "loss": {"sample_weights": "loss"},
    "adversarial": {
        **{"sample_weights": "uniform", "clean_loss": False},
        **{"attacked_loss": 1.0},
    },
    "whole_image": {"region": "whole_image"},
}
# Said in other parts, or the affair of whoever runs it.
ELSEWHERE = {"methods", "model", "output"}


def of_format_1(content):
    """What a recipe of format 1 says, in the parts of this one.

    It held all options in one object, those of XCons also where it was not used.

    Args:
        content: Dict, as its file holds it, without the format.

    Returns:
        Dict of the arguments of a `Recipe`.

    Raises:
        ValueError: A field or an option is unknown.
    """
    content, options = dict(content), content.get("options", {})
    for name in ("options", "architecture", "stages"):
        if not isinstance(content.get(name, {}), dict):
            raise ValueError(
                f"`{name}` of a recipe must be an object. Received: "
                f"{name}={content[name]!r}"
            )
    name = content.pop("method", None)
    training, of_method = {}, {}
    xcons = {*fields(method_of("xcons").options), "control"}
    known = training_fields({"name": name})
    for key, value in options.items():
        if key in known or key == "model":
            training[key] = value
        elif key not in xcons:
            raise ValueError(checks.unknown("option", key, {*known, *xcons}))
        elif name == "xcons":
            of_method[key] = value
    # What that format meant where it said nothing.
    if name == "xcons":
        control = of_method.pop("control", None)
        if control is not None and control not in _CONTROLS:
            raise ValueError(checks.unknown("control", control, _CONTROLS))
        of_method = {"preset": "paper", **_CONTROLS.get(control, {}), **of_method}
    if "label_smoothing" in known:
        training.setdefault("label_smoothing", 0.0)
    if "correlation" in known and training.get("dataset", "shapes") == "shapes":
        training.setdefault("correlation", 0.95)
    model = {"architecture": training.pop("model", None)}
    for old, new in (("architecture", "arguments"), ("stages", "stages")):
        if content.get(old):
            model[new] = content[old]
    evaluation = {
        new: content[old]
        for old, new in (("metrics", "metrics"), ("heatmaps", "explainer"))
        if old in content
    }
    used = {"options", "architecture", "stages", "metrics", "heatmaps", *CARD}
    check_names("field", content, used)
    return {
        "model": model,
        "method": {"name": name, "options": of_method},
        "training": training,
        "evaluation": evaluation,
        "card": {key: content[key] for key in CARD if key in content},
    }


def training_fields(method):
    """The names that the training of a method may hold.

    Args:
        method: The recipe's part of this name.

    Returns:
        Set of strings.

    Raises:
        ValueError: It names no method.
    """
    name = method.get("name") if isinstance(method, dict) else None
    if name == PRETRAINING:
        known = {field.name for field in dataclasses.fields(PretrainOptions)}
    elif isinstance(name, str) and name in methods():
        if method_of(name).follows is not None:
            return set(fields(FollowOptions)) - ELSEWHERE | {STARTS_FROM}
        known = set(fields(TrainOptions))
    else:
        accepted = [*methods(), PRETRAINING]
        raise ValueError(checks.unknown("method", name, accepted))
    return known - ELSEWHERE


def check_names(kind, names, accepted):
    """Refuses names that are not among the accepted ones.

    Args:
        kind: What a name stands for.
        names: Names that came in.
        accepted: Those that are known.

    Raises:
        ValueError: One is not.
    """
    for name in names:
        if name not in accepted:
            raise ValueError(checks.unknown(kind, name, accepted))
