"""What every training method refuses, in one line and before it learns."""

import numpy as np
import pytest
import tensorflow as tf

import keras_xcons as kx
from keras_xcons.methods import method_of
from keras_xcons.options import fields
from tests.methods.contract import EVERY, LEARNERS, METHODS, compiled, logits_loss


@EVERY
def test_options_that_do_not_exist(name, build):
    with pytest.raises(TypeError, match="^Unknown option.*Received: option='epsilom'"):
        kx.trainer(name, build(), epsilom=4.0)
    method = method_of(name)
    foreign = {
        option: other
        for other in METHODS
        for option in fields(method_of(other).options)
        if option not in fields(method.options)
    }
    for option in list(foreign)[:1]:
        with pytest.raises(TypeError, match=f"`{option}` is an option of the method"):
            kx.trainer(name, build(), **{option: 1})


@EVERY
def test_options_out_of_range(name, build):
    for option, (kinds, declared) in fields(method_of(name).options).items():
        wrong = ["none of these", np.array(["mean", "l1"])] if declared.choices else []
        if {int, float} & set(kinds):
            wrong = [float("nan"), float("inf"), -1e9, "much"]
        for value in wrong:
            with pytest.raises((ValueError, TypeError)) as caught:
                kx.trainer(name, build(), **{option: value})
            line = str(caught.value)
            assert "\n" not in line and f"{option}=" in line


@EVERY
def test_batches_that_are_refused(name, build, arrays):
    images, labels = arrays
    trainer = compiled(kx.trainer(name, build()))
    before = trainer.get_weights()
    cases = {
        "Unknown key of a batch. Did you mean 'sample_id'": {
            "x": {"image": images, "sample_ids": np.arange(36)},
            "y": labels,
        },
        "must be finite and within 0..255": {"x": images - 300.0, "y": labels},
        "must be within 0..4": {"x": images, "y": labels + 1},
    }
    if not trainer.takes_unlabelled:
        cases["within 0..4.*minimum -1"] = {"x": images, "y": labels - 1}
    for match, feed in cases.items():
        with pytest.raises(ValueError, match=match) as caught:
            trainer.fit(**feed, verbose=0)
        assert "\n" not in str(caught.value)
        data = tf.data.Dataset.from_tensor_slices((feed["x"], feed["y"])).batch(12)
        with pytest.raises(ValueError, match=match.split(".*")[0]):
            trainer.fit(data, verbose=0)
    if trainer.fewest_images > 1:
        for size in (1, None):
            data = tf.data.Dataset.from_tensor_slices(arrays).batch(1, size is not None)
            with pytest.raises(ValueError, match="at least 2. Received: batch_size=1"):
                trainer.fit(data, verbose=0)
        with pytest.raises(ValueError, match="at least 2. Received: batch_size=1"):
            trainer.fit(images, labels, batch_size=1, verbose=0)
    for left, right in zip(before, trainer.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@EVERY
def test_several_classes_are_said(name, build, arrays):
    """Else each image would be explained for one class, and others not at all."""
    images, labels = arrays
    trainer = compiled(kx.trainer(name, build()), logits_loss("Categorical"))
    hot = np.eye(5, dtype="float32")[labels]
    two, none = np.maximum(hot, hot[::-1]), np.where(labels[:, None] == 2, 0.0, hot)
    for wrong, total in ((two, 2), (none.astype("float32"), 0)):
        data = tf.data.Dataset.from_tensor_slices((images, wrong)).batch(12)
        for feed in ((images, wrong), (data,)):
            with pytest.raises(
                ValueError,
                match=f"must sum to 1.*`multi_label=True`.*labels with sum={total}$",
            ):
                trainer.fit(*feed, verbose=0)
        several = kx.trainer(name, build(), multi_label=True)
        compiled(several, logits_loss("Binary"), metrics=[])
        several.fit(data, verbose=0)


@EVERY
def test_labels_of_an_evaluation_are_known(name, build, arrays):
    images, labels = arrays
    trainer = compiled(kx.trainer(name, build()))
    for wrong in (labels - 1, labels + 1):
        data = tf.data.Dataset.from_tensor_slices((images, wrong)).batch(12)
        held_out = {"validation_data": data}, {"validation_data": (images, wrong)}
        for feed in held_out:
            with pytest.raises(ValueError, match="must be within 0..4"):
                trainer.fit(images, labels, verbose=0, **feed)
        for feed in ((data,), (images, wrong)):
            with pytest.raises(ValueError, match="must be within 0..4") as caught:
                trainer.evaluate(*feed, verbose=0)
            assert "\n" not in str(caught.value)


@EVERY
def test_class_weights_want_labels(name, build, arrays):
    images, labels = arrays
    trainer = compiled(kx.trainer(name, build()))
    feed = images, np.where(labels == 0, -1, labels)
    data = tf.data.Dataset.from_tensor_slices(feed).batch(12)
    for fed in (feed, (data,)):
        with pytest.raises(ValueError, match="must be within 0..4"):
            trainer.fit(*fed, class_weight=dict.fromkeys(range(5), 2.0), verbose=0)


@EVERY
def test_weights_that_are_no_numbers(name, build, arrays):
    trainer = compiled(kx.trainer(name, build()))
    weights = np.where(np.arange(36) == 30, np.nan, 1.0)
    data = tf.data.Dataset.from_tensor_slices((*arrays, weights)).batch(12)
    with pytest.raises(ValueError, match="sample weights must be finite"):
        trainer.fit(data, verbose=0)
    compiled(trainer, logits_loss("Categorical"))
    for wrong in (np.nan, -1.0, 5.0):
        shares = np.where(np.eye(5)[arrays[1]] == 0, 0.0, wrong)
        data = tf.data.Dataset.from_tensor_slices((arrays[0], shares)).batch(12)
        for feed in ({"x": arrays[0], "y": shares}, {"x": data}):
            with pytest.raises(
                ValueError, match="multi-hot labels must be within 0..1"
            ):
                trainer.fit(**feed, verbose=0)


def test_a_method_has_no_constructor_of_its_own():
    with pytest.raises(TypeError, match="is set up by `setup`"):

        @kx.methods.training_method("own", title="Own", purpose="Has its own.")
        class Own(kx.methods.TrainingMethod):
            def __init__(self, classifier):
                pass

    assert "own" not in kx.methods()


def test_an_unknown_method(build):
    with pytest.raises(ValueError, match="Unknown method. Did you mean"):
        kx.trainer(METHODS[0] + "x", build())
    assert LEARNERS
