"""What a family of classifiers asks of whatever method trains it.

A classifier that is trained by more than the caller's loss (extra outputs and losses,
groups of variables, stages) has an objective. A method asks it for all of that and
knows of no family.
"""

# Pairs of a function from a classifier to whether it is of a family, and the
# `Objective` class of that family.
_FAMILIES = []
_ARCHITECTURES = {}


def register_objective(matches, objective, architectures=()):
    """Makes a family of classifiers trainable by every method.

    Args:
        matches: Function from a `keras.Model` to whether it is of the family.
        objective: Subclass of `Objective`.
        architectures: Names of the architectures that make such classifiers.
            Defaults to none.
    """
    _FAMILIES.append((matches, objective))
    _ARCHITECTURES.update(dict.fromkeys(architectures, objective))


def objective_class(architecture):
    """The class of the objective that classifiers of an architecture have.

    Args:
        architecture: One of `keras_xcons.models.architectures()`.

    Returns:
        `Objective`, or a subclass of it.

    Example:

    >>> objective_class("resnet18")
    <class 'keras_xcons.methods.objective.Objective'>
    """
    return _ARCHITECTURES.get(architecture, Objective)


def objective_of(view, options=None):
    """The objective of a classifier.

    Args:
        view: `keras_xcons.models.ClassifierView` of it.
        options: Dict of the objective's options, or `None` for their defaults.

    Returns:
        `Objective`.

    Raises:
        TypeError, ValueError: The classifier has no objective of its own and so no
            options, or an option is unknown or not accepted.

    Example:

    >>> objective_of(keras_xcons.split(protopnet), {"cluster": 1.0})
    """
    if not isinstance(options, dict | None):
        raise TypeError(
            "`objective` must be a dict of options. Received: "
            f"objective={options!r} (of type {type(options).__name__})"
        )
    for matches, objective in _FAMILIES:
        if matches(view.model):
            return objective(view, **(options or {}))
    Objective.check_options(options)
    return Objective(view)


def objective_options():
    """Names of the options that objectives take, a set."""
    return {name for _, objective in _FAMILIES for name in objective.options_taken()}


class Objective:
    """The objective of any classifier: the caller's loss alone.

    Args:
        view: `keras_xcons.models.ClassifierView` of the classifier.

    Attributes:
        has_probe: Whether its last layer can be trained first, on the features of a
            pretrained network.
        in_stages: Whether it is trained in stages.
        view: What a training step calls.
        metrics: List of `keras.metrics.Metric` that a step updates.
        takes_multi_label: Whether an image may be of several classes.
    """

    has_probe = True
    in_stages = False
    takes_multi_label = True

    @classmethod
    def check_options(cls, options):
        """Refuses options that the objective does not take.

        Args:
            options: Dict.

        Raises:
            TypeError, ValueError: One is unknown or not accepted.
        """
        if options:
            raise ValueError(
                "`objective` holds options of a family with a loss of its own, such "
                "as a ProtoPNet; this classifier has none. Received: "
                f"objective={options!r}"
            )

    @classmethod
    def check_stages(cls, stages, epochs):
        """Refuses stages that a training of so many epochs cannot have.

        Args:
            stages: Dict of plain values, as a recipe holds it.
            epochs: int.

        Raises:
            TypeError, ValueError: They are not as described, or there are none.
        """
        if stages:
            raise ValueError(
                "`stages` are for a classifier that is trained in stages, such as a "
                f"ProtoPNet. Received: stages={stages!r}"
            )

    @classmethod
    def prepare(cls, classifier, dataset, seed):
        """Makes of a new classifier what a training can start from, in place.

        Args:
            classifier: `keras.Model`.
            dataset: Function that gives the training set, in order.
            seed: int.
        """

    @classmethod
    def stage_callbacks(cls, dataset, stages):
        """The callbacks that lead a training through its stages.

        Args:
            dataset: Function that gives the training set, in order.
            stages: As for `check_stages`.

        Returns:
            List of Keras callbacks.
        """
        return []

    @classmethod
    def converted(cls, classifier, dataset):
        """Mends a classifier that was trained in another dtype, in place.

        Args:
            classifier: `keras.Model`, in float32.
            dataset: Function that gives the training set, in order.
        """

    @classmethod
    def arguments_of(cls, classifier, arguments):
        """The arguments of an architecture that make a classifier as it is now.

        Args:
            classifier: `keras.Model`.
            arguments: Dict of those that it was made with.

        Returns:
            Dict.
        """
        return arguments

    @classmethod
    def own_optimizer(cls, rate):
        """The optimizer that the family is trained with, `None` for any.

        Args:
            rate: Peak learning rate.

        Returns:
            `keras.optimizers.Optimizer`, or `None`.
        """
        return None

    @classmethod
    def options_taken(cls):
        """Names of the options that the objective takes, any iterable."""
        return ()

    def __init__(self, view):
        self.view = view
        self.metrics = []

    @property
    def in_training_mode(self):
        """Whether a step runs the classifier in training mode."""
        return True

    def learned(self, variables):
        """Those of the classifier's trainable variables that a step updates.

        Args:
            variables: List of variables.

        Returns:
            List of variables.
        """
        return list(variables)

    def scores(self, outputs):
        """The classifier's own outputs, of what the view gives.

        Args:
            outputs: Third of what `view` returns.

        Returns:
            Tensor `(B, C)`.
        """
        return outputs

    def loss(self, labels, outputs, weights):
        """What is added to the caller's loss.

        Args:
            labels: Labels as the caller's loss takes them.
            outputs: Third of what `view` returns.
            weights: Weights of the samples `(B,)`, or `None`.

        Returns:
            Scalar, the mean over the batch; or `None` for nothing.
        """
        return None

    def regularization(self):
        """What is added to the loss of a step once, a scalar or `None` for nothing."""
        return None

    def update_metrics(self, labels, outputs, sample_weight):
        """Updates `metrics` after a step.

        Args:
            labels: As for `loss`.
            outputs: As for `loss`.
            sample_weight: The caller's weights, or `None`.
        """

    def optimizer(self, optimizer):
        """What takes the place of the caller's optimizer.

        Args:
            optimizer: `keras.optimizers.Optimizer`.

        Returns:
            A `keras.optimizers.Optimizer`.
        """
        return optimizer

    def compiled(self, trainer):
        """Is called after the trainer has been compiled.

        Args:
            trainer: The `keras_xcons.methods.TrainingMethod`.
        """

    def begins(self, callbacks=()):
        """Is called before weights are learned.

        Args:
            callbacks: Those of the `fit`; none for a single batch.
        """

    def callbacks(self, callbacks):
        """The callbacks of a `fit`, in the order in which they are to run.

        Args:
            callbacks: List of Keras callbacks.

        Returns:
            List.
        """
        return callbacks

    def get_config(self):
        """The options that the objective was made with, a dict of plain values."""
        return {}
