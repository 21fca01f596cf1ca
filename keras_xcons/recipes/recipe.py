"""The recipe of a published model: plain JSON, checked field by field."""

import dataclasses
import pathlib
import typing

from keras_xcons import checks, data, explainers, models
from keras_xcons.evaluation import catalog
from keras_xcons.files import read_json
from keras_xcons.protopnet import StageSchedule
from keras_xcons.recipes.experiment import check_splits
from keras_xcons.recipes.options import TrainOptions
from keras_xcons.recipes.pretrain_options import PretrainOptions

FORMAT = 1
# What reads the options of each method.
METHODS = {
    "plain": TrainOptions,
    "xcons": TrainOptions,
    "pretraining": PretrainOptions,
}
# Where a run is written is the affair of whoever runs it.
_NOT_OF_A_RECIPE = {"output"}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that is needed to train a published model again.

    Attributes:
        format: The form of the file, 1.
        method: `"plain"`, `"xcons"` or `"pretraining"`.
        options: Dict of the fields of `TrainOptions`, or of `PretrainOptions` for
            `"pretraining"`, without `output`. Left out fields have their defaults.
        data: The data in words: data set, subset, number of images.
        pretraining: What the weights started from, in words.
        data_license: Licence of the training data.
        weights_license: Licence of the weights.
        architecture: Dict of arguments of the architecture beside its name.
        stages: Of a ProtoPNet: dict of arguments of `keras_xcons.protopnet.
            StageSchedule`; `epochs` of the options must end its last stage.
        metrics: Metrics and groups of metrics that are measured, as
            `keras_xcons.evaluate` takes them.
        heatmaps: Explainer of the heatmaps that are measured, one of
            `keras_xcons.explainers.names()`.

    Raises:
        ValueError: A field is missing, unknown or not as described.
    """

    format: int
    method: str
    options: dict
    data: str
    pretraining: str
    data_license: str
    weights_license: str
    architecture: dict = dataclasses.field(default_factory=dict)
    stages: dict = dataclasses.field(default_factory=dict)
    metrics: tuple = ("classification", "localisation", "complexity", "consistency")
    heatmaps: str = "gradcam++"

    def __post_init__(self):
        if self.format != FORMAT or isinstance(self.format, bool):
            raise ValueError(
                f"This version of keras-xcons reads recipes of format {FORMAT}. "
                f"Received: format={self.format!r}"
            )
        if not isinstance(self.method, str) or self.method not in METHODS:
            raise ValueError(checks.unknown("method", self.method, METHODS))
        for name in ("data", "pretraining", "data_license", "weights_license"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ValueError(
                    f"`{name}` of a recipe must be a non-empty string. "
                    f"Received: {name}={value!r}"
                )
        for name in ("options", "architecture", "stages"):
            value = getattr(self, name)
            if not isinstance(value, dict):
                raise ValueError(
                    f"`{name}` of a recipe must be an object. "
                    f"Received: {name}={value!r}"
                )
        listed = isinstance(self.metrics, list | tuple) and all(
            isinstance(name, str) for name in self.metrics
        )
        if not listed or not self.metrics:
            raise ValueError(
                "`metrics` of a recipe must be a list of names, at least one. "
                f"Received: metrics={self.metrics!r}"
            )
        object.__setattr__(self, "metrics", tuple(self.metrics))
        self._check_options()

    def _check_options(self):
        fields = dataclasses.fields(METHODS[self.method])
        kinds = {f.name: f.type for f in fields if f.name not in _NOT_OF_A_RECIPE}
        for name, value in self.options.items():
            if name not in kinds:
                raise ValueError(checks.unknown("option", name, kinds))
            if not _fits(value, kinds[name]):
                raise ValueError(
                    f"The option `{name}` must be {_words(kinds[name])}. "
                    f"Received: {name}={value!r}"
                )
        for name in ("dataset", "model"):
            if name not in self.options:
                raise ValueError(
                    f"`options` of a recipe must name the {name}. "
                    f"Received: options with {sorted(self.options)}"
                )
        self.make_options()
        if self.method == "pretraining":
            self._check_pretraining()
        accepted = models.arguments_of(self.options["model"])
        for name in self.architecture:
            if name not in accepted:
                raise ValueError(checks.unknown("argument", name, accepted))
        catalog.select(self.metrics)
        self._check_heatmaps()
        self._check_stages()

    def _check_pretraining(self):
        if self.options["model"] == "protopnet":
            raise ValueError(
                "A ProtoPNet is trained in stages, which a pretraining has not: "
                "pretrain its backbone. Received: model='protopnet'"
            )

    def _check_heatmaps(self):
        if self.heatmaps not in explainers.names():
            raise ValueError(
                checks.unknown("heatmaps", self.heatmaps, explainers.names())
            )
        if self.heatmaps == "prototypes" and self.options["model"] != "protopnet":
            raise ValueError(
                "Heatmaps of prototypes are for a ProtoPNet. Received: heatmaps="
                f"'prototypes' with model={self.options['model']!r}"
            )

    def _check_stages(self):
        """A ProtoPNet whose prototypes were never pushed shows nothing real."""
        if self.options["model"] != "protopnet":
            if self.stages:
                raise ValueError(
                    "`stages` are for a ProtoPNet. Received: stages with model="
                    f"{self.options['model']!r}"
                )
            return
        known = [field.name for field in dataclasses.fields(StageSchedule)]
        for name in self.stages:
            if name not in known:
                raise ValueError(checks.unknown("stage option", name, known))
        epochs = self.make_options().epochs
        schedule = StageSchedule(**self.stages)
        ends = [schedule.epochs(pushes) for pushes in range(1, epochs + 1)]
        if epochs not in ends:
            raise ValueError(
                "`epochs` must end with the last layer of a push, as after "
                f"{', '.join(map(str, ends[:3]))} epochs of these stages. Received: "
                f"epochs={epochs}"
            )

    def make_options(self, **replaced):
        """The options of a run by this recipe.

        Args:
            **replaced: Options in the place of the recipe's.

        Returns:
            `TrainOptions` or `PretrainOptions`.
        """
        return METHODS[self.method](**{**self.options, **replaced})

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
        options = {**self.options, "dataset": info.name}
        if info.name != "shapes":
            # Only the generated set has the size that one asks for.
            options.pop("num_samples", None)
        license = f"that of {info.name}"
        return dataclasses.replace(
            self, options=options, data=words, data_license=license
        )

    def to_dict(self):
        """The recipe as plain JSON values, its options complete."""
        options = dataclasses.asdict(self.make_options())
        kept = {k: v for k, v in options.items() if k not in _NOT_OF_A_RECIPE}
        return {**dataclasses.asdict(self), "options": kept}


def read_recipe(path):
    """Reads and checks a recipe.

    Args:
        path: The JSON file.

    Returns:
        A `Recipe`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON, or a field is missing, unknown or not as
            described.

    Example:

    >>> read_recipe("zoo/shapes_cnn/recipe.json").method
    'xcons'
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no such recipe. Received: {str(path)!r}")
    try:
        return _parse(read_json(path.read_bytes(), "it"))
    except (ValueError, TypeError) as error:
        raise ValueError(f"The recipe {path} cannot be used: {error}") from error


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


def _parse(content):
    if not isinstance(content, dict):
        raise ValueError(f"it must be a JSON object, not {type(content).__name__}")
    fields = dataclasses.fields(Recipe)
    names = {field.name for field in fields}
    for name in content:
        if name not in names:
            raise ValueError(checks.unknown("field", name, names))
    needed = {f.name for f in fields if f.default is f.default_factory}
    if missing := needed - content.keys():
        raise ValueError(f"it lacks the fields {sorted(missing)}")
    return Recipe(**content)
