"""Every kind of data that Keras takes, for every training method."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.methods import method_of
from tests.methods.contract import (
    EVERY,
    METHODS,
    TAKERS,
    compiled,
    entropies,
    fit,
    logits_loss,
    made,
)
from tests.same_weights import assert_same_weights


class Batches(keras.utils.PyDataset):
    def __init__(self, images, labels):
        super().__init__()
        self.parts, self.ends = (images, labels), 0

    def __len__(self):
        return len(self.parts[0]) // 12

    def __getitem__(self, index):
        return tuple(part[12 * index : 12 * index + 12] for part in self.parts)

    def on_epoch_end(self):
        self.ends += 1


def generator(images, labels):
    yield from iter(Batches(images, labels))


def of_unknown_shape(images, labels):
    return tf.data.Dataset.from_generator(
        lambda: generator(images, labels), output_types=(tf.float32, tf.float32)
    )


def tuples_of_one(images, labels):
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(12)
    return data.map(lambda x, y: ((x,), (y,)))


def of_unknown_width(images, labels):
    specs = tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, None))
    return tf.data.Dataset.from_generator(
        lambda: generator(images, labels.reshape(len(labels), -1)),
        output_signature=specs,
    )


KINDS = {
    "PyDataset": lambda x, y: {"x": Batches(x, y)},
    "generator": lambda x, y: {"x": generator(x, y)},
    "lists": lambda x, y: {"x": [x], "y": [y], "batch_size": 12},
    "tensors": lambda x, y: {
        "x": tf.constant(x),
        "y": tf.constant(y),
        "batch_size": 12,
    },
    "tuples of one": lambda x, y: {"x": tuples_of_one(x, y)},
    "unknown width": lambda x, y: {"x": of_unknown_width(x, y)},
}
# Keras warns that a generator ends, and cannot be shuffled.
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")


@EVERY
def test_the_same_run_from_every_kind_of_data(name, build, arrays):
    first = None
    for kind in ({"x": arrays[0], "y": arrays[1], "batch_size": 12}, *KINDS.values()):
        trainer = compiled(made(name, build()))
        data = kind if first is None else kind(*arrays)
        fit(trainer, data, epochs=1, shuffle=False)
        first = first or trainer
        assert_same_weights(first.classifier, trainer.classifier)


@pytest.mark.parametrize("kind", KINDS)
@EVERY
def test_bad_labels_of_every_kind_of_data(name, kind, build, arrays):
    trainer = compiled(made(name, build()))
    before = trainer.get_weights()
    images, labels = arrays
    wrong = labels + 1
    for call in (
        lambda: trainer.fit(**KINDS[kind](images, wrong), shuffle=False, verbose=0),
        lambda: trainer.evaluate(**KINDS[kind](images, wrong), verbose=0),
        lambda: trainer.evaluate(**KINDS[kind](images, labels - 1), verbose=0),
        lambda: trainer.train_on_batch(images[:12], wrong[:12]),
        lambda: trainer.test_on_batch(images[:12], labels[:12] - 1),
    ):
        with pytest.raises(ValueError, match="^`?labels`? must be within 0..4") as told:
            call()
        assert "\n" not in str(told.value)
    if kind in ("PyDataset", "tuples of one", "unknown width"):
        held_out = KINDS[kind](images, labels - 1)["x"]
        with pytest.raises(ValueError, match="must be within 0..4"):
            trainer.fit(
                *arrays, batch_size=36, verbose=0, validation_data=held_out, epochs=1
            )
    else:
        for left, right in zip(before, trainer.get_weights(), strict=True):
            np.testing.assert_array_equal(left, right)


@EVERY
def test_labels_and_weights_that_are_no_numbers(name, build, arrays):
    images, labels = arrays
    trainer = compiled(made(name, build()))
    weights = np.where(np.arange(36) == 30, np.nan, 1.0)
    for match, y, given in (
        ("Labels must be numbers.*Received: none", None, {}),
        ("Labels must be numbers.*dtype <U1", np.array(["a"] * 36), {}),
        ("must be whole numbers", labels - 0.5, {}),
        ("must be whole numbers", np.where(labels == 2, np.nan, labels), {}),
        ("sample weights must be finite", labels, {"sample_weight": weights}),
    ):
        with pytest.raises(ValueError, match=match):
            trainer.fit(images, y, verbose=0, **given)
        with pytest.raises(ValueError, match=match):
            trainer.train_on_batch(images, y, **given)
    data = tf.data.Dataset.from_tensor_slices((images, labels + 0.5)).batch(12)
    with pytest.raises(ValueError, match="must be within 0..4.*label=0.5"):
        trainer.fit(data, verbose=0)


@EVERY
def test_multi_hot_labels_of_unknown_width(name, build, arrays):
    shares = np.eye(5, dtype="float32")[arrays[1]] + np.eye(5)[0]
    shares = np.minimum(shares, 1.0).astype("float32")
    trainer = made(name, build(), multi_label=True)
    compiled(trainer, logits_loss("Binary"), metrics=[])
    history = fit(trainer, of_unknown_width(arrays[0], shares), epochs=1)
    assert np.isfinite(history["loss"]).all()


@EVERY
def test_a_source_that_gives_each_batch_once(name, build, arrays):
    """No batch is read to learn its shape."""
    trainers = [compiled(made(name, build())) for _ in range(2)]
    batches = generator(arrays[0], arrays[1][:, None])
    specs = tf.TensorSpec((None, 16, 16, 3)), tf.TensorSpec((None, None))
    once = tf.data.Dataset.from_generator(lambda: batches, output_signature=specs)
    known = tf.data.Dataset.from_tensor_slices(arrays).batch(12)
    for trainer, data in zip(trainers, (once, known), strict=True):
        fit(trainer, data, epochs=1)
    assert_same_weights(*(trainer.classifier for trainer in trainers))


@EVERY
def test_datasets_that_do_not_tell_enough(name, build, arrays):
    trainer = compiled(made(name, build()))
    one_hot = np.eye(5, dtype="float32")[arrays[1]]
    text = arrays[1].astype(str)
    data = tf.data.Dataset.from_tensor_slices((arrays[0], text)).batch(12)
    for match, wrong in (
        ("must tell the ranks of what it gives", of_unknown_shape(*arrays)),
        (
            "labels must be \\(batch, 1\\).*width=5",
            of_unknown_width(arrays[0], one_hot),
        ),
        ("Labels must be numbers.*dtype string", data),
        ("Labels must be a single tensor", data.map(lambda x, y: (x, {"a": y}))),
    ):
        for call in (trainer.fit, trainer.evaluate):
            with pytest.raises(ValueError, match=match) as told:
                call(wrong, verbose=0)
            assert "\n" not in str(told.value)
    compiled(trainer, entropies)
    with pytest.raises(ValueError, match="must tell the width of its labels"):
        trainer.fit(of_unknown_width(*arrays), verbose=0)


@EVERY
def test_images_of_an_evaluation(name, build, arrays):
    images, labels = arrays
    trainer = compiled(made(name, build()))
    wrong = np.where(np.arange(36)[:, None, None, None] == 30, np.nan, images)
    data = tf.data.Dataset.from_tensor_slices((wrong, labels)).batch(12)
    for feed in ((wrong, labels), (data,), (generator(wrong, labels),)):
        with pytest.raises(ValueError, match="images`? must be finite"):
            trainer.evaluate(*feed, verbose=0)
    with pytest.raises(ValueError, match="Unknown key of a batch"):
        trainer.evaluate({"image": images, "unlabeled": images}, labels, verbose=0)


@EVERY
def test_data_that_cannot_be_checked(name, build, arrays):
    trainer = compiled(made(name, build()))
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(12)
    spread = strategy.experimental_distribute_dataset(data)
    with pytest.raises(ValueError, match="Pass the tf.data.Dataset itself"):
        trainer.fit(spread, verbose=0)


@pytest.mark.parametrize(
    "name", [n for n in METHODS if method_of(n).trainer.fewest_images > 1]
)
def test_batches_that_are_too_small_in_every_kind_of_data(name, build, arrays):
    images, labels = arrays
    trainer = compiled(made(name, build()))
    one = generator(images, labels)
    small = ((x[:1], y[:1]) for x, y in one)
    for call in (
        lambda: trainer.fit(small, shuffle=False, verbose=0),
        lambda: trainer.train_on_batch(images[:1], labels[:1]),
        lambda: trainer.fit(images[:2], labels[:2], validation_split=0.5, verbose=0),
    ):
        with pytest.raises(ValueError, match="at least 2. Received: batch_size=1"):
            call()


@EVERY
def test_arguments_by_position(name, build, arrays):
    trainers = [compiled(made(name, build())) for _ in range(2)]
    held_out = arrays[0][:12], arrays[1][:12]
    trainers[0].fit(*arrays, 12, 1, 0, None, 0.0, held_out, False)
    trainers[1].fit(*arrays, 12, verbose=0, validation_data=held_out, shuffle=False)
    assert_same_weights(*(trainer.classifier for trainer in trainers))
    left, right = (t.train_on_batch([arrays[0]], [arrays[1]]) for t in trainers)
    np.testing.assert_allclose(left, right, rtol=1e-5)


@EVERY
def test_an_empty_dict_of_class_weights_weighs_nothing(name, build, arrays):
    trainers = [compiled(made(name, build())) for _ in range(2)]
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(12)
    for trainer, weights in zip(trainers, ({}, None), strict=True):
        fit(trainer, data, epochs=1, class_weight=weights)
    assert_same_weights(*(trainer.classifier for trainer in trainers))


@pytest.mark.parametrize("name", TAKERS)
def test_images_that_are_held_out_need_labels(name, build, arrays):
    images, labels = arrays
    trainer = compiled(made(name, build()))
    hidden = np.where(np.arange(36) < 12, -1, labels)
    fit(trainer, {"x": images, "y": hidden}, validation_split=0.5, epochs=1)
    with pytest.raises(ValueError, match="must be within 0..4.*minimum -1"):
        trainer.fit(images, hidden[::-1], validation_split=0.5, verbose=0)
