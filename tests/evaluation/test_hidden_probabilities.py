"""Probabilities that are taken for logits are told of."""

import warnings

import keras
import pytest
from keras import ops

from keras_xcons import evaluate
from keras_xcons.evaluation import measure
from tests.evaluation.colors import IMAGES, LABELS, batches, color_classifier

ENDINGS = {
    "clipped": lambda x: ops.clip(ops.softmax(x), 1e-7, 1.0),
    "times one": lambda x: ops.softmax(x) * 1.0,
    "by hand": lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_probabilities_behind_a_softmax_are_told_of(ending):
    model = color_classifier(scale=0.01)
    hidden = keras.Model(model.inputs, ENDINGS[ending](model.output), name="hidden")
    models = {"plain": model, "probable": hidden}
    with pytest.warns(UserWarning, match="hidden .*seem to be probabilities"):
        report = evaluate(
            models, batches(IMAGES, LABELS), "accuracy", verbose=0, gallery=0
        )
    (note,) = [x for x in report.to_dict()["notes"] if "probabilities" in x]
    assert "of probable" in note and "`Softmax`" in note
    with pytest.warns(UserWarning, match="seem to be probabilities"):
        measure(hidden, batches(IMAGES, LABELS), "average_drop")


def test_logits_and_a_softmax_that_is_looked_through_are_not():
    model = color_classifier(scale=0.01)
    ended = keras.Model(model.inputs, keras.layers.Softmax()(model.output))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in (model, ended):
            measure(each, batches(IMAGES, LABELS), "accuracy")
