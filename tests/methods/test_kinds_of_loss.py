"""Every kind of loss that Keras takes, for every training method."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_xcons.methods import method_of
from tests.methods.contract import (
    EVERY,
    LEARNERS,
    TAKERS,
    compiled,
    entropies,
    fit,
    logits_loss,
    made,
)
from tests.same_weights import assert_same_weights


def mean_over_the_batch(labels, scores):
    return ops.mean(entropies(labels, scores))


class MeanOverTheBatch(keras.losses.Loss):
    def call(self, labels, scores):
        return mean_over_the_batch(labels, scores)


@EVERY
def test_a_loss_that_is_a_function(name, build, arrays):
    trainers = [made(name, build()) for _ in range(2)]
    for trainer, loss in zip(trainers, (entropies, logits_loss()), strict=True):
        fit(compiled(trainer, loss), dict(zip("xy", arrays, strict=True)), epochs=1)
    assert_same_weights(*(trainer.classifier for trainer in trainers))


@pytest.mark.parametrize("loss", [mean_over_the_batch, MeanOverTheBatch()])
@EVERY
def test_a_loss_of_one_value_a_batch(name, loss, build, arrays):
    """Weights would not reach its samples: it is refused, or no weights are needed."""
    images, labels = arrays
    trainer = compiled(made(name, build()), loss)
    before = trainer.get_weights()
    with pytest.raises(ValueError, match="The loss must give one value a sample"):
        trainer.fit(images, labels, sample_weight=np.ones(36), verbose=0)
    for left, right in zip(before, trainer.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    # It is looked at anew where another one is compiled.
    fit(compiled(trainer, entropies), {"x": images, "y": labels}, epochs=1)
    compiled(trainer, loss)
    with pytest.raises(ValueError, match="The loss must give one value a sample"):
        trainer.fit(images, labels, sample_weight=np.ones(36), verbose=0)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_term_of_a_method_does_not_grow_with_the_batch(name, build, arrays):
    """Whatever the caller's loss is reduced by."""
    method, learned = method_of(name), {}
    kinds = (False, True) if method.never_plain is None else (False,)
    for reduction in ("sum", "none"):
        for neutral in kinds:
            options = method.neutral if neutral else {}
            loss = keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction=reduction
            )
            trainer = made(name, build(), **options)
            compiled(trainer, loss, optimizer=keras.optimizers.SGD(1e-3))
            logs = trainer.train_on_batch(*arrays, return_dict=True)
            learned[reduction, neutral] = trainer.classifier, logs
    for neutral in kinds:
        models = [learned[reduction, neutral][0] for reduction in ("sum", "none")]
        assert_same_weights(*models)
        total, mean = (learned[r, neutral][1]["loss"] for r in ("sum", "none"))
        assert total == pytest.approx(36 * mean, rel=1e-4)


REDUCTIONS = ("sum_over_batch_size", "sum", "none", None, "mean_with_sample_weight")
WRAPPINGS = {
    "alone": lambda loss, name: loss,
    "list": lambda loss, name: [loss],
    "dict": lambda loss, name: {name: loss},
}


@pytest.mark.parametrize(
    ("reduction", "wrapping"),
    [
        *((reduction, "alone") for reduction in REDUCTIONS),
        ("sum", "list"),
        ("sum", "dict"),
    ],
)
@pytest.mark.parametrize("name", TAKERS)
def test_a_loss_is_reduced_over_the_images_with_a_label(
    name, reduction, wrapping, build, arrays
):
    images, labels = arrays
    hidden = np.where(labels == 3, -1, labels)
    loss = keras.losses.SparseCategoricalCrossentropy(True, reduction=reduction)
    plain = build()
    trainer = made(name, build(), **method_of(name).neutral)
    wrapped = WRAPPINGS[wrapping](loss, trainer.classifier.output_names[0])
    for model, given, kept in (
        (plain, loss, labels != 3),
        (trainer, wrapped, np.ones(36, "bool")),
    ):
        compiled(model, given, optimizer=keras.optimizers.SGD(1e-3), metrics=[])
        model.train_on_batch(images[kept], hidden[kept])
    assert_same_weights(plain, trainer.classifier)
