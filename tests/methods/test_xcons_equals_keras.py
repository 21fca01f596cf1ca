"""With weights of 1 and no terms a run is the run of plain Keras, to float rounding."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons.methods import XConsModel, method_of

# The "batch" schedule is in test_every_method.py.
SCHEDULES = ("memory", "epoch")


def logits_loss(kind="SparseCategorical"):
    return getattr(keras.losses, f"{kind}Crossentropy")(from_logits=True)


def compiled(model, loss=None, eager=True, jit=False, **optimizer):
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9, **optimizer),
        loss or logits_loss(),
        metrics=["accuracy"],
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="weighted")]
        if loss is None
        else None,
        run_eagerly=eager,
        jit_compile=jit,
    )
    return model


def check_runs(plain, trainer, plain_data, data, **fit):
    """Fits both and compares every log of plain Keras and every weight."""
    arguments = {"epochs": 2, "verbose": 0, "shuffle": False, **fit}
    validation = arguments.pop("validation", False)
    histories = []
    for model, fed in ((plain, plain_data), (trainer, data)):
        feed = {"x": fed} if isinstance(fed, tf.data.Dataset) else fed
        if validation:
            arguments["validation_data"] = fed
        histories.append(model.fit(**feed, **arguments).history)
    expected, found = histories
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)
    assert len(expected["loss"]) == 2 and np.ptp(expected["loss"]) > 0
    extra = set(found) - set(expected)
    measured = {"consistency", "zero_gradient"}
    assert extra == measured | {"mean_weight", "effective_share"}
    np.testing.assert_allclose(found["mean_weight"], 1.0)
    weights = zip(plain.get_weights(), trainer.classifier.get_weights(), strict=True)
    for left, right in weights:
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    return trainer


def uniform(classifier, schedule="memory", **options):
    options = {**method_of("xcons").neutral, "num_samples": 36, **options}
    return XConsModel(classifier, schedule=schedule, **options)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(schedule, build, dataset):
    """Live batch norm, dropout, regularisers, validation, an unequal last batch."""
    plain = compiled(build(live=True), eager=False)
    trainer = compiled(uniform(build(live=True), schedule), eager=False)
    check_runs(
        plain,
        trainer,
        dataset(ids=False, count=32),
        dataset(count=32),
        validation=True,
    )
    assert float(trainer.epoch.value) == 1


def test_sample_weights_in_the_dataset(build, dataset):
    plain, trainer = build(live=True), uniform(build(live=True), "memory")
    weights = np.linspace(0.0, 3.0, 36, dtype="float32")
    data = dataset(weights=weights, count=32)
    plain_data = dataset(ids=False, weights=weights, count=32)
    check_runs(compiled(plain), compiled(trainer), plain_data, data)


@pytest.mark.parametrize(("schedule", "shape"), [("batch", (36, 1)), ("epoch", (36,))])
def test_arrays_with_sample_weights_of_two_ranks(schedule, shape, build, arrays):
    images, labels = arrays
    weights = np.linspace(0.0, 3.0, 36, dtype="float32").reshape(shape)
    x = {"image": images, "sample_id": np.arange(36)}
    rest = {"y": labels, "sample_weight": weights, "batch_size": 10}
    check_runs(
        compiled(build()),
        compiled(uniform(build(), schedule)),
        {"x": images, **rest},
        {"x": x, **rest},
        shuffle=True,
    )


def test_gradient_accumulation(build, dataset):
    accumulate = {"gradient_accumulation_steps": 2}
    plain = compiled(build(live=True), **accumulate)
    trainer = compiled(uniform(build(live=True), "memory"), **accumulate)
    check_runs(plain, trainer, dataset(ids=False), dataset())
    assert trainer.optimizer.gradient_accumulation_steps == 2


@pytest.mark.slow
def test_compiled_by_xla(build, dataset):
    plain = compiled(build(live=True), eager=False, jit=True)
    trainer = compiled(uniform(build(live=True)), eager=False, jit=True)
    check_runs(plain, trainer, dataset(ids=False), dataset())


@pytest.mark.parametrize(
    ("schedule", "head"), [("memory", "closed"), ("memory", "tape")]
)
def test_heads_in_a_nested_backbone(schedule, head, build, dataset):
    options = {"head": head, "live": True, "nested": True}
    trainer = compiled(uniform(build(**options), schedule))
    assert trainer.view.closed_form == (head == "closed")
    check_runs(compiled(build(**options)), trainer, dataset(ids=False), dataset())


def test_softmax_ending_with_a_loss_named_by_a_string(build, dataset):
    name = "sparse_categorical_crossentropy"
    plain = compiled(build(activation="softmax"), name)
    trainer = compiled(uniform(build(activation="softmax")), name)
    check_runs(plain, trainer, dataset(ids=False), dataset())
    assert trainer.view.flat.outputs[1] is not trainer.view.flat.outputs[2]


def test_one_hot_labels(build, arrays, dataset):
    labels = np.eye(5, dtype="float32")[arrays[1]]
    plain = compiled(build(activation="softmax"), "categorical_crossentropy")
    trainer = uniform(build(activation="softmax"))
    trainer = compiled(trainer, "categorical_crossentropy")
    data = dataset(labels=labels)
    check_runs(plain, trainer, dataset(ids=False, labels=labels), data)


def test_multi_label(build, arrays, dataset):
    labels = np.eye(5, dtype="float32")[arrays[1]]
    labels[::2, 0] = 1.0
    plain = compiled(build(), logits_loss("Binary"))
    trainer = compiled(uniform(build(), multi_label=True), logits_loss("Binary"))
    data = dataset(labels=labels)
    check_runs(plain, trainer, dataset(ids=False, labels=labels), data)


class Backbone(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = layers.Rescaling(1 / 255)
        self.conv = layers.Conv2D(6, 3, strides=2, activation="relu")
        self.norm = layers.BatchNormalization(momentum=0.9)

    def call(self, images, training=None):
        return self.norm(self.conv(self.scale(images)), training=training)


class Head(keras.Model):
    def __init__(self):
        super().__init__()
        self.pool = layers.GlobalAveragePooling2D()
        self.drop = layers.Dropout(0.4)
        self.dense = layers.Dense(5)

    def call(self, features, training=None):
        return self.dense(self.drop(self.pool(features), training=training))


class Joined(keras.Model):
    """What a user would train without this package."""

    def __init__(self, backbone, head):
        super().__init__()
        self.backbone, self.head = backbone, head

    def call(self, images, training=None):
        return self.head(self.backbone(images, training=training), training=training)


@pytest.mark.parametrize("schedule", ("batch", "memory"))
def test_pair_of_subclassed_parts(schedule, dataset, arrays):
    keras.utils.set_random_seed(2)
    plain = Joined(Backbone(), Head())
    plain(arrays[0][:1])
    keras.utils.set_random_seed(2)
    trainer = uniform((Backbone(), Head()), schedule)
    assert not trainer.view.closed_form
    trainer.classifier.set_weights(plain.get_weights())
    check_runs(compiled(plain), compiled(trainer), dataset(ids=False), dataset())
