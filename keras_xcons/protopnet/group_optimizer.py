"""One optimizer for each group of variables, each at a rate of its own."""

import keras

from keras_xcons.methods.split_optimizer import SplitOptimizer


@keras.saving.register_keras_serializable("keras_xcons")
class GroupOptimizer(SplitOptimizer):
    """Copies of one optimizer, one a group of variables, each at its own rate.

    Adam does not care for the scale of gradients, and what a group has learned late
    needs the bias correction of its own first steps: so neither a scaled gradient
    nor one optimizer for all will do. A copy a group has its own moments, its own
    count of steps and a real learning rate, that of this optimizer times the
    group's factor. Any optimizer of Keras can be copied, whatever its weight decay,
    clipping (by `global_clipnorm` within a group), accumulation of gradients or
    averaging. Unlike `keras.optimizers.MultiOptimizer` it has the `learning_rate`
    that `LearningRateScheduler` and `ReduceLROnPlateau` set, it takes the gradients
    of a part of the variables, and its rates change without a new trace. Keras puts
    its loss scaling around it as around any other.

    Args:
        optimizer: `keras.optimizers.Optimizer` to copy, not built yet.
        **kwargs: `keras.optimizers.Optimizer` arguments.

    Attributes:
        factors: Dict from a group's name to the float32 variable that its rate is
            multiplied with; filled by `set_parts`.
    """

    def __init__(self, optimizer, **kwargs):
        kwargs.setdefault("name", "group_optimizer")
        rate = keras.optimizers.serialize(optimizer)["config"]["learning_rate"]
        if isinstance(rate, dict):
            rate = keras.saving.deserialize_keras_object(rate)
        super().__init__(learning_rate=rate, **kwargs)
        self.optimizer = optimizer
        self.factors = {}

    def set_parts(self, parts):
        super().set_parts(parts)
        config = keras.optimizers.serialize(self.optimizer)
        # The copy's own rate is written over before each of its steps.
        config["config"]["learning_rate"] = 0.0
        self.parts = {name: keras.optimizers.deserialize(config) for name in parts}
        for copy in self.parts.values():
            # What `exclude_from_weight_decay` was told is in no config, and asked by
            # this alone.
            copy._use_weight_decay = self.optimizer._use_weight_decay

    def build(self, var_list):
        if self.built:
            return
        for name in self.parts:
            self.factors[name] = self.add_variable(
                shape=(),
                initializer="ones",
                dtype="float32",
                aggregation="only_first_replica",
                name=f"{name}_factor",
            )
        super().build(var_list)

    def before_step(self, name, optimizer):
        optimizer.learning_rate = self.learning_rate * self.factors[name]

    def get_config(self):
        optimizer = keras.optimizers.serialize(self.optimizer)
        return {"optimizer": optimizer, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizer = keras.optimizers.deserialize(config["optimizer"], custom_objects)
        return cls(**{**config, "optimizer": optimizer})
