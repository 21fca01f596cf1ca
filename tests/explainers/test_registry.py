import numpy as np
import pytest
import tensorflow as tf

import keras_xcons as kx
from keras_xcons import cli
from keras_xcons.evaluation import EvaluationOptions
from keras_xcons.explainers import names, own_or_usual, register, registry


@pytest.fixture(autouse=True)
def same_registry(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))


class Square:
    """Evidence in the first cell."""

    def __init__(self, view, **arguments):
        self.frame = view.frame
        self.arguments = arguments

    def __call__(self, images, labels=None):
        first = tf.one_hot(tf.zeros(len(images), "int32"), 81)
        return tf.reshape(first, (-1, 9, 9))


def test_what_is_registered_explains_by_its_name(build, images):
    assert register("square")(Square) is Square
    assert "square" in names() and list(names()) == sorted(names())
    found = kx.explain(build(), images, explainer="square", resize=False)
    assert found.shape == (4, 9, 9) and np.all(found.argmax(axis=2)[:, 0] == 0)
    assert EvaluationOptions(explainer="square").explainer == "square"


def test_commands_know_what_is_registered_late(capsys):
    register("square")(Square)
    for command in ("explain", "evaluate", "calibrate"):
        assert cli.main([command, "--help"]) == 0
        assert "|square|" in capsys.readouterr().out


def test_one_by_probability_knows_whether_classes_exclude_each_other(build):
    view = kx.split(build())
    register("square", by_probability=True)(Square)
    made = [kx.explainers.explainer_of(view, "square", each) for each in (True, False)]
    assert [each.arguments["multi_label"] for each in made] == [True, False]
    assert kx.explainers.moved_frame_of(view, "square") is view.frame
    assert kx.explainers.explainer_of(view, "square", True) is made[0]


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="of its own.*Received: name='gradcam'"):
        register("gradcam")(Square)
    with pytest.raises(TypeError, match="under a string. Received: name="):
        register(Square)


@pytest.mark.parametrize("name", ["gradcan", 3, ["gradcam"]])
def test_unknown_names_are_refused(name, build, images):
    for call in (
        lambda: kx.explain(build(), images, explainer=name),
        lambda: EvaluationOptions(explainer=name),
    ):
        with pytest.raises(ValueError, match="Unknown explainer.*Received: explainer="):
            call()


def test_a_model_may_have_an_explainer_of_its_own(build, images):
    model, other = build(), build()

    @register("of_its_own", is_own=lambda each: each is model)
    class OfItsOwn(Square):
        pass

    assert own_or_usual(model) == "of_its_own"
    assert own_or_usual(other) == "gradcam++"
    assert own_or_usual(model, "gradcam") == "gradcam"
    found = kx.explain(model, images)
    np.testing.assert_array_equal(
        found, kx.explain(model, images, explainer="of_its_own")
    )
    usual = kx.explain(other, images, explainer="gradcam++")
    np.testing.assert_array_equal(kx.explain(other, images), usual)
