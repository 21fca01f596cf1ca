"""The recipe of a published model: plain JSON, checked field by field."""

import dataclasses
import pathlib
import typing

from keras_xcons import checks, data, models
from keras_xcons.evaluation import EvaluationOptions, catalog
from keras_xcons.files import read_json
from keras_xcons.methods import method_of, objective_class
from keras_xcons.methods.registry import check_options
from keras_xcons.options import fields
from keras_xcons.recipes.experiment import FOLLOWING, check_splits
from keras_xcons.recipes.following import FollowOptions
from keras_xcons.recipes.options import DRAWN, TrainOptions
from keras_xcons.recipes.pretrain_options import PretrainOptions
from keras_xcons.recipes.recipe_format import (
    CARD,
    ELSEWHERE,
    EVALUATION,
    FORMAT,
    METRICS,
    MODEL,
    PRETRAINING,
    STARTS_FROM,
    check_names,
    of_format_1,
    training_fields,
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that is needed to train a published model again.

    Attributes:
        model: Dict: `architecture`, its name; and, where there are any, its
            `arguments`, the options of its `objective`, and the `stages` of its
            training, see `keras_xcons.protopnet.StageSchedule`.
        method: Dict: `name`, one of `keras_xcons.methods()` or `"pretraining"`, and
            its `options`. Left out options have their defaults.
        training: Dict: `dataset`, and the other fields of `TrainOptions`, or of
            `PretrainOptions` for `"pretraining"`. Left out ones have their defaults.
            Of a method that follows a training: `dataset`, `starts_from`, the model
            that it explains, and the other fields of `FollowOptions`.
        evaluation: Dict: `metrics`, metrics and groups of them as
            `keras_xcons.evaluate` takes them, and `explainer`, one of
            `keras_xcons.explainers.names()`. Defaults to the common metrics and
            `"gradcam++"`.
        card: Dict of what the card will say: `data`, the data in words: data set,
            subset, number of images; `pretraining`, what the weights started from, in
            words; `data_license`; and `weights_license`.

    Raises:
        TypeError, ValueError: A field is missing, unknown or not as described.
    """

    model: dict
    method: dict
    training: dict
    card: dict
    evaluation: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for name, accepted, needed in (
            ("model", MODEL, ("architecture",)),
            ("method", ("name", "options"), ("name",)),
            ("training", training_fields(self.method), ("dataset",)),
            ("evaluation", EVALUATION, ()),
            ("card", CARD, CARD),
        ):
            object.__setattr__(self, name, _part(self, name, accepted, needed))
        for name, value in self.card.items():
            if not isinstance(value, str) or not value.strip():
                raise ValueError(
                    f"`{name}` of a recipe must be a non-empty string. "
                    f"Received: {name}={value!r}"
                )
        self._check_model()
        self._check_method()
        self._check_evaluation()

    def _check_model(self):
        architecture = self.model["architecture"]
        if architecture not in models.architectures():
            known = models.architectures()
            raise ValueError(checks.unknown("architecture", architecture, known))
        accepted = models.arguments_of(architecture)
        for name in self.model.setdefault("arguments", {}):
            if name not in accepted:
                raise ValueError(checks.unknown("argument", name, accepted))

    def _check_method(self):
        options = self.method.setdefault("options", {})
        family = objective_class(self.model["architecture"])
        if self.method["name"] == PRETRAINING:
            if not family.has_probe:
                raise ValueError(
                    "Such a classifier is trained in stages, which a pretraining has "
                    "not: pretrain its backbone. Received: architecture="
                    f"{self.model['architecture']!r}"
                )
            _check_kinds(PretrainOptions, self.training)
        else:
            check_options(method_of(self.method["name"]), options)
        made = self.make_options()
        if self.follows:
            for name in ("objective", "stages"):
                if self.model.get(name):
                    raise ValueError(
                        f"`{name}` is for a training, and {self.method['name']} "
                        f"follows one. Received: {name}={self.model[name]!r}"
                    )
        elif self.method["name"] != PRETRAINING:
            family.check_options(self.model.get("objective", {}))
            family.check_stages(self.model.get("stages", {}), made.epochs)

    def _check_evaluation(self):
        metrics = self.evaluation.setdefault("metrics", list(METRICS))
        listed = isinstance(metrics, list | tuple) and all(
            isinstance(name, str) for name in metrics
        )
        if not listed or not metrics:
            raise ValueError(
                "`metrics` of a recipe must be a list of names, at least one. "
                f"Received: metrics={metrics!r}"
            )
        catalog.select(metrics)
        explainer = self.evaluation.setdefault("explainer", "gradcam++")
        EvaluationOptions(explainer=explainer)

    @property
    def dataset(self):
        """Name of the data set, or where it lies."""
        return self.training["dataset"]

    def make_options(self, **replaced):
        """The options of a run by this recipe.

        Args:
            **replaced: Fields of `training` in the place of the recipe's, or `output`.

        Returns:
            `TrainOptions`, `PretrainOptions`, or of a method that follows a training
            `FollowOptions`.
        """
        values = {**self.training, **replaced}
        methods = {self.method["name"]: self.method["options"]}
        if self.follows:
            model = values.pop(STARTS_FROM, None)
            if not isinstance(model, str):
                raise ValueError(
                    f"`{STARTS_FROM}` of a recipe must be the name of a published "
                    "model, a folder with a card, or a `.keras` file. Received: "
                    f"{STARTS_FROM}={model!r}"
                )
            return FollowOptions(model=model, methods=methods, **values)
        values["model"] = self.model["architecture"]
        if self.method["name"] == PRETRAINING:
            return PretrainOptions(**values)
        return TrainOptions(methods=methods, **values)

    @property
    def follows(self):
        """Whether the method explains a model that is trained already."""
        name = self.method["name"]
        return name != PRETRAINING and method_of(name).follows is not None

    def on_dataset(self, name_or_dir):
        """The same recipe for another data set.

        Args:
            name_or_dir: As for `keras_xcons.data.load`.

        Returns:
            A `Recipe` that says in plain words what the data set is.
        """
        info = data.info(name_or_dir)
        check_splits(info)
        words = (
            f"{info.name}: {info.splits['train']:,} training images of "
            f"{len(info.class_names)} classes"
        )
        training = {**self.training, "dataset": info.name}
        if info.name != "shapes":
            # Only the generated set is drawn as one asks for.
            for name in DRAWN:
                training.pop(name, None)
        license = f"that of {info.name}"
        card = {**self.card, "data": words, "data_license": license}
        return dataclasses.replace(self, training=training, card=card)

    def to_dict(self):
        """The recipe as plain JSON values, its options complete."""
        complete = dataclasses.asdict(self.make_options())
        training = {k: v for k, v in complete.items() if k not in ELSEWHERE}
        if self.follows:
            training[STARTS_FROM] = complete["model"]
        return {
            "format": FORMAT,
            "model": dict(self.model),
            "method": {"name": self.method["name"], "options": self._all_options()},
            "training": training,
            "evaluation": dict(self.evaluation),
            "card": dict(self.card),
        }

    def _all_options(self):
        """Defaults too: those of a later version may be others.

        But for what follows from the job and its data unless it was given.
        """
        if self.method["name"] == PRETRAINING:
            return {}
        table = method_of(self.method["name"]).options
        given = self.method["options"]
        free = {"num_samples": 1} if "num_samples" in fields(table) else {}
        complete = dataclasses.asdict(table(**{**free, **given}))
        return {
            # As JSON has it.
            name: list(value) if isinstance(value := complete[name], tuple) else value
            for name, (_, declared) in fields(table).items()
            if name in given or (declared.told and name not in FOLLOWING)
        }


def read_recipe(path):
    """Reads and checks a recipe.

    Args:
        path: The JSON file, of this format or of an earlier one.

    Returns:
        A `Recipe`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, or a field is missing, unknown or not as
            described.

    Example:

    >>> read_recipe("zoo/shapes_cnn/recipe.json").method["name"]
    'xcons'
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no such recipe. Received: {str(path)!r}")
    try:
        return _parse(read_json(path.read_bytes(), "it"))
    except (ValueError, TypeError) as error:
        raise ValueError(f"The recipe {path} cannot be used: {error}") from error


def _parse(content):
    if not isinstance(content, dict):
        raise ValueError(f"it must be a JSON object, not {type(content).__name__}")
    content = dict(content)
    found = content.pop("format", None)
    if found == 1 and not isinstance(found, bool):
        content = of_format_1(content)
    elif found != FORMAT or isinstance(found, bool):
        raise ValueError(
            f"This version of keras-xcons reads recipes of format 1 to {FORMAT}. "
            f"Received: format={found!r}"
        )
    parts = dataclasses.fields(Recipe)
    check_names("field", content, {field.name for field in parts})
    needed = {f.name for f in parts if f.default is f.default_factory}
    if missing := needed - content.keys():
        raise ValueError(f"it lacks the fields {sorted(missing)}")
    return Recipe(**content)


def _part(recipe, name, accepted, needed):
    """A part of a recipe, copied, after a look at its names."""
    value = getattr(recipe, name)
    if not isinstance(value, dict):
        raise ValueError(
            f"`{name}` of a recipe must be an object. Received: {name}={value!r}"
        )
    check_names(f"key of `{name}`", value, accepted)
    for key in needed:
        if key not in value:
            raise ValueError(
                f"`{name}` of a recipe must name the {key}. "
                f"Received: {name} with {sorted(value)}"
            )
    for key in ("arguments", "options", "objective", "stages"):
        if not isinstance(value.get(key, {}), dict):
            raise ValueError(
                f"`{key}` of a recipe must be an object. Received: {key}={value[key]!r}"
            )
    return {
        key: dict(one) if isinstance(one, dict) else one for key, one in value.items()
    }


def _check_kinds(table, values):
    """Refuses values of another type than the fields of a dataclass have."""
    kinds = {field.name: field.type for field in dataclasses.fields(table)}
    for name, value in values.items():
        if not _fits(value, kinds[name]):
            raise ValueError(
                f"The option `{name}` must be {_words(kinds[name])}. "
                f"Received: {name}={value!r}"
            )


def _fits(value, kind):
    """Whether a JSON value is of a field's type."""
    kinds = set(typing.get_args(kind) or (kind,))
    if isinstance(value, bool):
        return bool in kinds  # which are ints elsewhere
    # JSON writes 1.0 as 1, and has no tuples.
    kinds |= {int} if float in kinds else set()
    kinds |= {list} if tuple in kinds else set()
    return isinstance(value, tuple(kinds))


def _words(kind):
    names = {"str": "a string", "bool": "true or false", "NoneType": "null"}
    names |= {"int": "an integer", "float": "a number", "tuple": "a list"}
    return " or ".join(names[one.__name__] for one in typing.get_args(kind) or (kind,))
