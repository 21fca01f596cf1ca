"""One optimizer for each part of a network."""

import keras


@keras.saving.register_keras_serializable("keras_xcons")
class PartsOptimizer(keras.optimizers.Optimizer):
    """Optimizers of the parts of a network, each with its own rate and loss scale.

    Args:
        optimizers: Dict from the name of a part to its `keras.optimizers.Optimizer`.
        **kwargs: `keras.optimizers.Optimizer` arguments.

    Attributes:
        optimizers: The dict.

    Example:

    >>> parts = PartsOptimizer({"selector": selecting, "predictor": predicting})
    """

    def __init__(self, optimizers, **kwargs):
        kwargs.setdefault("name", "parts_optimizer")
        super().__init__(learning_rate=0.0, **kwargs)
        self.optimizers = dict(optimizers)
        self._part_of = {}

    def set_parts(self, parts):
        """Says which variables make up which part, before anything is built.

        Args:
            parts: Dict from a name to a list of variables.
        """
        self._part_of = {
            self._var_key(variable): name
            for name, variables in parts.items()
            for variable in variables
        }

    def build(self, var_list):
        if self.built:
            return
        for name, optimizer in self.optimizers.items():
            optimizer.build(self._of(name, var_list))
        super().build(var_list)

    def _of(self, name, variables):
        return [
            each for each in variables if self._part_of[self._var_key(each)] == name
        ]

    @property
    def variables(self):
        found = list(self._variables)
        for optimizer in self.optimizers.values():
            found.extend(optimizer.variables)
        return found

    @property
    def learning_rate(self):
        """The rate of the first part; setting it changes all in proportion."""
        first = next(iter(self.optimizers.values()))
        return first.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate):
        first, *others = self.optimizers.values()
        before = float(first.learning_rate)
        for other in others:
            share = float(other.learning_rate) / before if before else 1.0
            other.learning_rate = rate * share
        first.learning_rate = rate

    def apply(self, grads, trainable_variables=None):
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        trainable_variables = list(trainable_variables)
        if not self.built:
            self.build(trainable_variables)
        pairs = list(zip(grads, trainable_variables, strict=True))
        for name, optimizer in self.optimizers.items():
            own = [
                (gradient, variable)
                for gradient, variable in pairs
                if self._part_of[self._var_key(variable)] == name
            ]
            if own:
                optimizer.apply(*zip(*own, strict=True))
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list):
        for name, optimizer in self.optimizers.items():
            optimizer.finalize_variable_values(self._of(name, var_list))

    def get_config(self):
        optimizers = {
            name: keras.optimizers.serialize(optimizer)
            for name, optimizer in self.optimizers.items()
        }
        return {"optimizers": optimizers, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizers = {
            name: keras.optimizers.deserialize(optimizer, custom_objects)
            for name, optimizer in config["optimizers"].items()
        }
        return cls(**{**config, "optimizers": optimizers})
