"""What was made of a model, remembered on the model and for as long as it lives."""

import contextlib
import threading

import keras
import numpy as np

# Keeps two threads from making one thing of one model at a time. Reentrant, as what
# is made of a model may rest on something else that is remembered.
lock = threading.RLock()

_ATTRIBUTE = "_keras_xcons_memory"
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
# Beyond this, lists and arrays are told apart by which object they are.
_DEEPEST, _LONGEST, _LARGEST_ARRAY = 4, 256, 2**20
# What layers keep of their calls, not of what they compute: all that Keras notes in
# any layer, the trainer's notes in a model, and those of TensorFlow's checkpoints.
_PASSING = {
    *(name for name in vars(keras.layers.Layer(name="any")) if name.startswith("_")),
    *(
        "built",
        "compiled",
        "history",
        "jit_compile",
        "loss",
        "optimizer",
        "run_eagerly",
    ),
    *("steps_per_execution", "stop_training", "train_function", "test_function"),
    *("predict_function", _ATTRIBUTE),
}
_LARGEST = 8


class ViewCache:
    """The latest things made of a model.

    It is an attribute of the model, which nothing else holds: a table of all models,
    weak or not, would keep every model alive, as what is made of a model holds it.
    Keras does not look into it when it saves the model.

    Args:
        owner: The `keras.Layer` that it belongs to.
    """

    def __init__(self, owner):
        self._owner = owner
        # What layers change of themselves when called, such as a count of the calls.
        self.passing = set()
        # What was measured of the model is not forgotten: by the name of a layer.
        self.offsets = {}
        # The weights' fingerprint when it was, likewise.
        self.fingerprints = {}
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
        """Whether this is not the cache of a model that `owner` is a copy of."""
        return self._owner is owner


def cache_of(owner):
    """The `ViewCache` of a model or layer, made where there is none."""
    cache = vars(owner).get(_ATTRIBUTE)
    if cache is None or not cache.belongs_to(owner):
        # Past Keras' own `__setattr__`, which would track it as a part to be saved.
        cache = vars(owner)[_ATTRIBUTE] = ViewCache(owner)
    return cache


class State:
    """What a model computes by, apart from the values of its variables.

    Its layers, and of each the variables, the dtype policy, whether it is trained,
    and its attributes: enough to notice another layer in a Sequential model,
    `quantize`, `enable_lora`, another activation, or a number that a layer of the
    user's reads when called. Numbers, texts, lists, dicts and arrays count by value;
    all else by which object it is.

    Args:
        model: `keras.Layer`.
    """

    def __init__(self, model):
        self._model = model
        self._found = _found(model)
        # Shared by all that is remembered of the model.
        self._passing = cache_of(model).passing

    @property
    def current(self):
        """Whether the model computes by the same still."""
        return _differences(self._found, _found(self._model)) <= self._passing

    @contextlib.contextmanager
    def calling(self):
        """Within it the model is called: what changes by that does not count."""
        before = _found(self._model)
        try:
            yield
        finally:
            after = _found(self._model)
            self._passing.update(_differences(before, after))


def _found(model):
    """Dict of what a model computes by; a key names a layer, by its id, and a part."""
    found = {}
    for number, layer in enumerate(model._flatten_layers()):
        key = id(layer)
        found[key, number] = _Same(layer)
        found[key, None] = (
            *map(_Same, layer._trainable_variables),
            *map(_Same, layer._non_trainable_variables),
            _Same(layer._dtype_policy),
            layer._trainable,
        )
        own = vars(layer)
        if isinstance(layer, keras.Model):
            found[key, "_functional"] = _Same(own.get("_functional"))
        for name, value in own.items():
            # What else Keras notes in its models begins so.
            private = name.startswith("_") and isinstance(layer, keras.Model)
            if name not in _PASSING and not private and name[:6] != "_self_":
                found[key, name] = _frozen(value, _DEEPEST)
    return found


def _differences(one, two):
    """Set of the keys under which two dicts do not hold the same."""
    return {
        key
        for key in one.keys() | two.keys()
        if key not in one or key not in two or one[key] != two[key]
    }


class _Same:
    """An object, equal to itself alone whatever it says of equality."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, _Same) and self.value is other.value

    __hash__ = None


def _frozen(value, depth):
    """A copy of a value that tells whether it has become another one."""
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, np.ndarray) and value.dtype != object:
        if value.nbytes <= _LARGEST_ARRAY:
            return value.dtype, value.shape, value.tobytes()
    elif depth and isinstance(value, list | tuple | dict | set | frozenset):
        if len(value) <= _LONGEST:
            if isinstance(value, dict):
                value = [part for pair in value.items() for part in pair]
            elif isinstance(value, set | frozenset):
                # In an order that does not depend on what has come and gone.
                value = sorted(value, key=hash)
            return tuple(_frozen(part, depth - 1) for part in value)
    return _Same(value)
