import dataclasses
import inspect

import pytest

from keras_xcons.evaluation import EvaluationOptions, tolerance_at

WHOLE = (
    *("steps", "pgd_steps", "noise_samples"),
    *("max_backgrounds", "challenge_backgrounds"),
)


def test_tolerance_is_15_pixels_at_224_in_proportion():
    assert tolerance_at((224, 224)) == 15
    assert tolerance_at((64, 300)) == 4
    assert tolerance_at((300, 64)) == 4


def test_every_option_is_explained_in_the_flags_and_in_the_docstring():
    told = inspect.getdoc(EvaluationOptions)
    for field in dataclasses.fields(EvaluationOptions):
        assert field.metadata["declared"].help
        assert f"\n    {field.name}: {field.metadata['declared'].help[:20]}" in told
    words = " ".join(told.split())
    assert "where it has none. One of `keras_xcons.explainers.names()`." in words
    assert "Defaults to 'label'." in told
    assert max(map(len, told.splitlines())) <= 88
    assert told.index("Attributes:") < told.index("Raises:")


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_what_is_counted_is_an_int(name, value):
    match = f"`{name}` must be (an int|a number|within).*{name}={value!r}"
    with pytest.raises((TypeError, ValueError), match=match):
        EvaluationOptions(**{name: value})


@pytest.mark.parametrize("name", ["epsilon", "pgd_step_size", "noise_radius"])
@pytest.mark.parametrize("value", [0.0, -1.0, 256.0, float("nan")])
def test_strengths_are_within_the_images_range(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be within"):
        EvaluationOptions(**{name: value})


def test_other_numbers():
    assert EvaluationOptions(gallery=0, tolerance=0.0).gallery == 0
    with pytest.raises(ValueError, match="`tolerance` must be within"):
        EvaluationOptions(tolerance=-1.0)
    with pytest.raises(ValueError, match="`threshold` must be within"):
        EvaluationOptions(threshold=1.5)
    with pytest.raises(TypeError, match="`threshold` must be a number"):
        EvaluationOptions(threshold="half")
    with pytest.raises(ValueError, match="`gallery` must be within"):
        EvaluationOptions(gallery=-1)
    with pytest.raises(ValueError, match="seed"):
        EvaluationOptions(seed=-1)


@pytest.mark.parametrize(
    "name, value, meant",
    [
        ("explainer", "layercan", "layercam"),
        ("explained", "labels", "label"),
        ("consistency_measure", "cosin", "cosine"),
    ],
)
def test_unknown_names_are_answered_with_close_ones(name, value, meant):
    with pytest.raises(ValueError, match=f"Did you mean .*{meant}.*{name}={value!r}"):
        EvaluationOptions(**{name: value})
