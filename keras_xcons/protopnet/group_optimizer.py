"""One optimizer for each group of variables, each at a rate of its own."""

import keras


@keras.saving.register_keras_serializable("keras_xcons")
class GroupOptimizer(keras.optimizers.Optimizer):
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
            multiplied with; filled by `set_groups`.
    """

    def __init__(self, optimizer, **kwargs):
        kwargs.setdefault("name", "group_optimizer")
        rate = keras.optimizers.serialize(optimizer)["config"]["learning_rate"]
        if isinstance(rate, dict):
            rate = keras.saving.deserialize_keras_object(rate)
        super().__init__(learning_rate=rate, **kwargs)
        self.optimizer = optimizer
        self.factors = {}
        self._copies = []
        self._group_of = {}

    def set_groups(self, groups):
        """Says which variables make up which group, before anything is built.

        Args:
            groups: Dict from a name to a list of variables.
        """
        self._group_of = {
            self._var_key(variable): place
            for place, variables in enumerate(groups.values())
            for variable in variables
        }
        config = keras.optimizers.serialize(self.optimizer)
        # The copy's own rate is written over before each of its steps.
        config["config"]["learning_rate"] = 0.0
        self._copies = [keras.optimizers.deserialize(config) for _ in groups]
        for copy in self._copies:
            # What `exclude_from_weight_decay` was told is in no config, and asked by
            # this alone.
            copy._use_weight_decay = self.optimizer._use_weight_decay
        self._names = tuple(groups)

    def build(self, var_list):
        if self.built:
            return
        for place, copy in enumerate(self._copies):
            copy.build([v for v in var_list if self._place(v) == place])
            self.factors[self._names[place]] = self.add_variable(
                shape=(),
                initializer="ones",
                dtype="float32",
                aggregation="only_first_replica",
                name=f"{self._names[place]}_factor",
            )
        super().build(var_list)

    def _place(self, variable):
        return self._group_of[self._var_key(variable)]

    @property
    def variables(self):
        found = list(self._variables)
        for copy in self._copies:
            found.extend(copy.variables)
        return found

    def apply(self, grads, trainable_variables=None):
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        trainable_variables = list(trainable_variables)
        if not self.built:
            self.build(trainable_variables)
        rate = self.learning_rate
        for place, copy in enumerate(self._copies):
            pairs = [
                (gradient, variable)
                for gradient, variable in zip(grads, trainable_variables, strict=True)
                if self._place(variable) == place
            ]
            if pairs:
                copy.learning_rate = rate * self.factors[self._names[place]]
                copy.apply(*zip(*pairs, strict=True))
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list):
        for place, copy in enumerate(self._copies):
            copy.finalize_variable_values(
                [v for v in var_list if self._place(v) == place]
            )

    def get_config(self):
        optimizer = keras.optimizers.serialize(self.optimizer)
        return {"optimizer": optimizer, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizer = keras.optimizers.deserialize(config["optimizer"], custom_objects)
        return cls(**{**config, "optimizer": optimizer})
