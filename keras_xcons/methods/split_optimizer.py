"""An optimizer that hands the variables of each part of a network to another one."""

import keras


class SplitOptimizer(keras.optimizers.Optimizer):
    """What optimizers share that have another one for each part of a network.

    A subclass has `parts`, a dict from the name of a part to its
    `keras.optimizers.Optimizer`, and says by `set_parts` which variables are whose.

    Args:
        learning_rate: As for `keras.optimizers.Optimizer`.
        **kwargs: `keras.optimizers.Optimizer` arguments.

    Attributes:
        parts: The dict.
    """

    def __init__(self, learning_rate, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        # Not `optimizers`, by which Keras' callbacks know its own `MultiOptimizer`.
        self.parts = {}
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

    def part_of(self, variable):
        """The name of the part that a variable belongs to."""
        return self._part_of[self._var_key(variable)]

    def build(self, var_list):
        if self.built:
            return
        for name, optimizer in self.parts.items():
            optimizer.build([v for v in var_list if self.part_of(v) == name])
        super().build(var_list)

    @property
    def variables(self):
        found = list(self._variables)
        for optimizer in self.parts.values():
            found.extend(optimizer.variables)
        return found

    def before_step(self, name, optimizer):
        """Called before each step of the optimizer of a part.

        Args:
            name: Name of the part.
            optimizer: Its optimizer.
        """

    def apply(self, grads, trainable_variables=None):
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        trainable_variables = list(trainable_variables)
        if not self.built:
            self.build(trainable_variables)
        pairs = list(zip(grads, trainable_variables, strict=True))
        for name, optimizer in self.parts.items():
            own = [pair for pair in pairs if self.part_of(pair[1]) == name]
            if own:
                self.before_step(name, optimizer)
                optimizer.apply(*zip(*own, strict=True))
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list):
        for name, optimizer in self.parts.items():
            own = [v for v in var_list if self.part_of(v) == name]
            optimizer.finalize_variable_values(own)
