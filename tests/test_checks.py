import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import checks


def test_unknown_names_close_matches_first():
    message = checks.unknown("feature layer", "Conv_7", ["conv7", "conv8", "dense"])
    assert message.startswith("Unknown feature layer. Did you mean 'conv7' or 'conv8'?")
    assert "Accepted: 'conv7', 'conv8', 'dense'." in message
    assert message.endswith("Received: feature_layer='Conv_7'")
    assert "\n" not in message


def test_unknown_without_a_close_match_and_of_other_types():
    assert "Did you mean" not in checks.unknown("method", "zzz", ["xcons"])
    assert "Received: method=None" in checks.unknown("method", None, ["xcons"])
    assert "none is known" in checks.unknown("method", "a", [])


def test_unknown_ignores_case_but_names_the_accepted_spelling():
    message = checks.unknown("architecture", "RESNET50", ["ResNet50"])
    assert "Did you mean 'ResNet50'?" in message


@pytest.mark.parametrize(
    ("value", "expected"), [(64, (64, 64)), ((32, 48), (32, 48)), ([1, 2], (1, 2))]
)
def test_image_size(value, expected):
    assert checks.image_size(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, 64.0, True, "64", None, (64,), (64, 64, 3), (64, 0), (64, True)),
        *(10**23, (64, 2**31), [10**5000, 64]),
    ],
)
def test_image_size_refuses(value):
    with pytest.raises(ValueError, match="`crop` must be a positive int.*Received"):
        checks.image_size(value, name="crop")


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "bfloat16", "float64"])
def test_image_batch_casts_every_number_to_float32(dtype):
    images = tf.cast(tf.fill((1, 2, 2, 3), 254.0), dtype)
    array = checks.image_batch(images, (2, 2, 3))
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.float32
    assert np.all(array == 254.0)


def test_image_batch_takes_any_size_where_the_model_does():
    images = np.zeros((2, 5, 7, 3))
    assert checks.image_batch(images, (None, None, 3)).shape == (2, 5, 7, 3)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 2, 3)), ValueError, r"rank 4.*shape \(2, 2, 3\)"),
        (np.zeros((0, 2, 2, 3)), ValueError, "one or more images"),
        (np.zeros((1, 2, 2, 1)), ValueError, r"\(None, None, 3\)"),
        (np.full((1, 2, 2, 3), -0.1), ValueError, "minimum -0.1"),
        (np.full((1, 2, 2, 3), 255.5), ValueError, "maximum 255.5"),
        (np.full((1, 2, 2, 3), np.nan), ValueError, "finite.*nan"),
        (np.full((1, 2, 2, 3), "a"), TypeError, "numbers.*<U1"),
        (np.full((1, 2, 2, 3), None), TypeError, "numbers.*object"),
    ],
)
def test_image_batch_refuses(images, error, message):
    with pytest.raises(error, match=message):
        checks.image_batch(images, (None, None, 3))


def test_class_labels():
    labels = checks.class_labels(np.array([0, 2], "int64"), size=2, num_classes=3)
    assert labels.dtype == np.int32
    assert labels.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3], r"within 0\.\.2.*maximum 3"),
        ([-1, 0], "minimum -1"),
        ([0], r"shape \(2,\).*shape \(1,\)"),
        ([[0, 1]], r"shape \(1, 2\)"),
        ([0.0, 1.0], "integers.*float64"),
        ([True, False], "integers.*bool"),
    ],
)
def test_class_labels_refuses(labels, message):
    with pytest.raises(ValueError, match=message):
        checks.class_labels(labels, size=2, num_classes=3)


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.25)])
def test_within_returns_the_value(value):
    assert checks.within("share", value, 0.0, 1.0) is value


@pytest.mark.parametrize(
    ("value", "arguments", "message"),
    [
        (1.1, {"low": 0, "high": 1}, r"`share` must be within \[0, 1\].*share=1.1"),
        (-1, {"low": 0, "high": None}, r"within \[0, 2147483647\]"),
        (float("inf"), {"low": 0, "high": None}, "share=inf"),
        (np.float32("inf"), {"low": 0, "high": None}, "share=np.float32.inf"),
        (10**23, {"low": 0, "high": None}, "share=100000000000000000000000$"),
        pytest.param(10**5000, {"low": 0, "high": None}, "4,300 digits", id="5000"),
        pytest.param(10**999, {"low": 0, "high": 1}, "=10{59}[.]{3}0{20}$", id="999"),
        (0, {"low": 0, "high": 1, "inclusive": False}, r"within \(0, 1\]"),
        (float("nan"), {"low": 0, "high": 1}, "share=nan"),
    ],
)
def test_within_refuses_what_is_out_of_range(value, arguments, message):
    with pytest.raises(ValueError, match=message):
        checks.within("share", value, **arguments)


@pytest.mark.parametrize("value", ["1", None, True, [1]])
def test_within_refuses_what_is_no_number(value):
    with pytest.raises(TypeError, match="`share` must be a number"):
        checks.within("share", value, 0, 1)
