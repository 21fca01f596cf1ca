import inspect

import pytest

import keras_xcons as kx
from keras_xcons.evaluation import EvaluationOptions
from keras_xcons.explainers import refuses_method

CALLS = {
    "explain": lambda model, images: kx.explain(model, images, method="gradcam"),
    "calibrate": lambda model, images: kx.calibrate(model, images, method="gradcam"),
    "evaluate": lambda model, images: kx.evaluate(model, None, method="gradcam"),
    "options": lambda model, images: EvaluationOptions(method="gradcam"),
    "monitor": lambda model, images: kx.callbacks.ExplanationMonitor(
        images, method="gradcam"
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_method_is_refused_by_the_new_name(name, build, images):
    message = (
        "^`method` is a training method; the explanation method is `explainer`. "
        "Received: method='gradcam'$"
    )
    with pytest.raises(TypeError, match=message):
        CALLS[name](build(), images)


@pytest.mark.parametrize(
    "function", [kx.explain, kx.calibrate, EvaluationOptions], ids=lambda f: f.__name__
)
def test_the_signature_is_seen(function):
    parameters = inspect.signature(function).parameters
    assert parameters["explainer"].default is None
    assert "method" not in parameters and "kwargs" not in parameters
    assert "explainer" in inspect.getdoc(function)


def test_evaluate_keeps_its_signature():
    assert list(inspect.signature(kx.evaluate).parameters)[:3] == [
        *("model", "dataset", "metrics")
    ]


def test_all_else_passes():
    @refuses_method
    def function(first, *, explainer="gradcam++"):
        return first, explainer

    assert function(1) == (1, "gradcam++")
    assert function(1, explainer="x") == (1, "x")
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        function(1, other=2)
