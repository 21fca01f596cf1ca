"""What was made of a model, remembered on the model and for as long as it lives."""

import threading

import keras

# Keeps two threads from making one thing of one model at a time. Reentrant, as what
# is made of a model may rest on something else that is remembered.
lock = threading.RLock()

_ATTRIBUTE = "_keras_xcons_memory"
_SCALARS = (bool, int, float, str, tuple, type(None))
# What layers keep of their calls, not of what they compute.
_PASSING = {"_called", "_parent_path", "built", _ATTRIBUTE}
_LARGEST = 8


class Memory:
    """The latest things made of a model.

    It is an attribute of the model, which nothing else holds: a table of all models,
    weak or not, would keep every model alive, as what is made of a model holds it.
    Keras does not look into it when it saves the model.

    Args:
        owner: The `keras.Layer` that it belongs to.
    """

    def __init__(self, owner):
        self._owner = owner
        self._entries = {}

    def get(self, key):
        """What was last put under a key, or `None`."""
        return self._entries.get(key)

    def put(self, key, value):
        """Remembers a value, and forgets the oldest one of too many."""
        self._entries.pop(key, None)
        self._entries[key] = value
        while len(self._entries) > _LARGEST:
            del self._entries[next(iter(self._entries))]

    def belongs_to(self, owner):
        """Whether this is not the memory of a model that `owner` is a copy of."""
        return self._owner is owner


def memory_of(owner):
    """The `Memory` of a model or layer, made where there is none."""
    memory = vars(owner).get(_ATTRIBUTE)
    if memory is None or not memory.belongs_to(owner):
        # Past Keras' own `__setattr__`, which would track it as a part to be saved.
        memory = vars(owner)[_ATTRIBUTE] = Memory(owner)
    return memory


def state_of(model):
    """What a model computes by, apart from the values of its variables.

    Its layers, and of each the variables, the dtype policy, whether it is trained,
    and, of a layer of Keras, its settings: enough to notice another layer in a
    Sequential model, `quantize`, `enable_lora`, or another activation.

    Args:
        model: `keras.Layer`.

    Returns:
        List to be compared by `same_state`.
    """
    state = []
    for layer in model._flatten_layers():
        state += [layer, *layer._trainable_variables, *layer._non_trainable_variables]
        state += [layer._dtype_policy, layer._trainable]
        own = vars(layer)
        if isinstance(layer, keras.Model):
            state.append(own.get("_functional"))
        elif type(layer).__module__.split(".")[0] == "keras":
            # Lists and dicts are Keras' own notes; tensors are what it has computed
            # of its variables, as `Normalization` does.
            state += [
                value
                for name, value in own.items()
                if name not in _PASSING and not isinstance(value, list | dict | set)
            ]
    return state


def same_state(state, other):
    """Whether two states are equal: the same objects, or equal plain values."""
    return len(state) == len(other) and all(
        one is two or (type(one) is type(two) and type(one) in _SCALARS and one == two)
        for one, two in zip(state, other, strict=True)
    )
