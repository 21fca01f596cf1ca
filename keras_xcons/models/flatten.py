"""Inlines nested models, so that every activation is within reach."""

import keras


def is_graph(model):
    """Whether a model is a graph of layers (functional or Sequential).

    A subclass that replaces `call` is not: its layers do not say how they are
    connected.
    """
    if not isinstance(model, keras.Function | keras.Sequential):
        return False
    if "call" in vars(model):
        return False
    owners = (
        next(base for base in type(model).__mro__ if name in vars(base))
        for name in ("call", "__call__")
    )
    return all(owner.__module__.split(".")[0] == "keras" for owner in owners)


class Use(keras.Operation):
    """One use of a user's layer or operation in a flat graph.

    Keras notes every symbolic call on the layer that is called, and refuses two
    layers of one name in a model. A use is called in the layer's place and hands
    on to it: the layer stays as it was, with its name and its own connections, and
    whoever splits a model leaves nothing behind, from several threads, too.

    Args:
        operation: The `keras.Operation`, such as a layer, that is used.
        name: Name of the use, one of its own in its graph.
        outputs: Symbolic outputs that the use is known to have. Defaults to those
            that the operation is found to have.
    """

    def __init__(self, operation, name, outputs=None):
        super().__init__(name=name)
        self.operation = operation
        self._outputs = outputs
        # Keras hands `training` on to what has this.
        self._call_context_args = getattr(operation, "_call_context_args", set())

    def call(self, *args, **kwargs):
        return self.operation(*args, **kwargs)

    def compute_output_spec(self, *args, **kwargs):
        if self._outputs is None:
            return super().compute_output_spec(*args, **kwargs)
        return [keras.KerasTensor(t.shape, t.dtype) for t in self._outputs]


def producer(tensor):
    """What made a symbolic tensor of a flat graph.

    Args:
        tensor: Symbolic tensor.

    Returns:
        `(operation, inputs)`: the user's own layer or operation, and the symbolic
        tensors of the flat graph that it took.
    """
    history = tensor._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    return used(history.operation), node.input_tensors


def used(operation):
    """The user's own layer or operation behind one of a flat graph."""
    return operation.operation if isinstance(operation, Use) else operation


def flatten(model):
    """Rebuilds a model with nested models inlined, sharing every weight.

    The layers of nested models are used once more, one after the other, on the
    outer model's tensors, see `Use`. The result computes the same numbers to the bit
    and holds the same weights. A `training` argument given when a nested model was
    called (`backbone(x, training=False)`) is handed on to its layers, as Keras does.
    Where the model takes images as integers, the result takes floats and does not
    round them, so that it has gradients.

    Args:
        model: A built functional or Sequential `keras.Model` with one input and
            one output.

    Returns:
        A functional `keras.Model` of uses. It is meant for computing, not for saving.

    Example:

    >>> backbone = keras.applications.MobileNetV2(weights=None, include_top=False)
    >>> model = keras.Sequential([backbone, keras.layers.GlobalAveragePooling2D()])
    >>> model.build((None, 64, 64, 3))
    >>> producer(flatten(model).outputs[0])[0].name
    'global_average_pooling2d'
    """
    source = model.inputs[0]
    dtype = source.dtype if "float" in source.dtype else "float32"
    images = keras.Input(batch_shape=source.shape, dtype=dtype)
    return flat_model(images, _Flattening(images).run(_graph(model), [images])[0])


def flat_model(images, outputs):
    """A functional model of uses that knows the weights of what they use.

    Args:
        images: Symbolic input.
        outputs: Symbolic output, or a list of them.

    Returns:
        A functional `keras.Model`.
    """
    flat = keras.Model(images, outputs)
    layers = {id(used(each)): used(each) for each in flat.operations}
    flat.used_layers = [
        each for each in layers.values() if isinstance(each, keras.Layer)
    ]
    return flat


def with_detour(flat, tensor, there, back):
    """The same graph once more, in which a tensor takes another form on its way.

    Beside the graph that form would have no gradient: no output would depend on it.

    Args:
        flat: Flat functional model, which has the tensor as its first output.
        tensor: The symbolic tensor.
        there: `keras.Operation` from the tensor to its other form.
        back: `keras.Operation` from the tensor and the other form to what the rest of
            the graph takes, the same numbers as the tensor.

    Returns:
        A functional `keras.Model` whose first output is the other form.
    """
    source = flat.inputs[0]
    images = keras.Input(batch_shape=source.shape, dtype=source.dtype)
    flattening = _Flattening(images, {id(tensor): (there, back)})
    outputs = flattening.run(flat, [images])
    return flat_model(images, [flattening.forms[id(tensor)], *outputs[1:]])


def _graph(model):
    """The functional model of a graph model, or `None`."""
    if not is_graph(model):
        return None
    return model._functional if isinstance(model, keras.Sequential) else model


class _Flattening:
    """Uses the operations of a model, and of the models in it, one by one.

    Args:
        images: The symbolic input of the flat graph.
        detours: Dict from the id of a tensor to its `(there, back)`, see
            `with_detour`.
    """

    def __init__(self, images, detours=None):
        self._images = images
        self._detours = detours or {}
        self.forms = {}
        self._names = {images._keras_history.operation.name}

    def run(self, graph, inputs, training=None):
        """Applies a functional model to symbolic tensors of the flat graph."""
        known = dict(zip(map(id, graph.inputs), inputs, strict=True))
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                taken = node.input_tensors
                if node.is_input or any(id(tensor) not in known for tensor in taken):
                    continue
                args, kwargs = node.arguments.fill_in(known)
                outputs = self._apply(node, args, kwargs, known, training)
                outputs = keras.tree.flatten(outputs)
                for tensor, output in zip(node.outputs, outputs, strict=True):
                    known[id(tensor)] = self._detoured(tensor, output)
        return [known[id(tensor)] for tensor in graph.outputs]

    def _apply(self, node, args, kwargs, known, training):
        operation, nested = used(node.operation), _graph(node.operation)
        if nested is not None:
            given = kwargs.get("training")
            images = args[0] if args else kwargs["inputs"]
            return self.run(
                nested,
                self._converted(nested, images),
                training if given is None else given,
            )
        if training is not None and isinstance(operation, keras.Layer):
            kwargs = {**kwargs, "training": training}
        # What Keras has found out of these shapes holds of them once more.
        same = all(
            (known[id(t)].shape, known[id(t)].dtype) == (t.shape, t.dtype)
            for t in node.input_tensors
        )
        use = Use(operation, self._name(operation), node.outputs if same else None)
        return use(*args, **kwargs)

    def _detoured(self, tensor, output):
        if id(tensor) not in self._detours:
            return output
        there, back = self._detours[id(tensor)]
        form = self.forms[id(tensor)] = there(output)
        return back(output, form)

    def _name(self, operation):
        name, count = operation.name, 1
        while name in self._names:
            count += 1
            name = f"{operation.name}__{count}"
        self._names.add(name)
        return name

    def _converted(self, graph, inputs):
        """What a nested model makes of its inputs, where it changes anything.

        Such an operation would stand between features and pooling; and where it
        turns the images into integers, it would stop the gradient.
        """
        return [self._without_cast(t) for t in graph._standardize_inputs(inputs)]

    def _without_cast(self, tensor):
        operation, inputs = producer(tensor)
        if type(operation).__name__ == "ConvertToTensor":
            images = inputs[0] is self._images
            if inputs[0].dtype == tensor.dtype or (images and "int" in tensor.dtype):
                return inputs[0]
        return tensor
