"""One optimizer for each part of a network."""

import keras

from keras_xcons.methods.split_optimizer import SplitOptimizer


@keras.saving.register_keras_serializable("keras_xcons")
class PartsOptimizer(SplitOptimizer):
    """Optimizers of the parts of a network, each with its own rate and loss scale.

    Args:
        optimizers: Dict from the name of a part to its `keras.optimizers.Optimizer`.
        **kwargs: `keras.optimizers.Optimizer` arguments.

    Attributes:
        parts: The dict.

    Example:

    >>> parts = PartsOptimizer({"selector": selecting, "predictor": predicting})
    """

    def __init__(self, optimizers, **kwargs):
        kwargs.setdefault("name", "parts_optimizer")
        super().__init__(learning_rate=0.0, **kwargs)
        self.parts = dict(optimizers)

    @property
    def learning_rate(self):
        """The rate of the first part; setting it changes all in proportion."""
        first = next(iter(self.parts.values()))
        return first.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate):
        first, *others = self.parts.values()
        before = float(first.learning_rate)
        for other in others:
            share = float(other.learning_rate) / before if before else 1.0
            other.learning_rate = rate * share
        first.learning_rate = rate

    def get_config(self):
        optimizers = {
            name: keras.optimizers.serialize(optimizer)
            for name, optimizer in self.parts.items()
        }
        return {"optimizers": optimizers, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizers = {
            name: keras.optimizers.deserialize(optimizer, custom_objects)
            for name, optimizer in config["optimizers"].items()
        }
        return cls(**{**config, "optimizers": optimizers})
