import keras
import numpy as np
import pytest

from keras_xcons.protopnet.layers import Prototypes, PrototypeSimilarity


@pytest.fixture
def layer():
    """Three prototypes of two channels, two of class 0 and one of class 1."""
    layer = Prototypes([2, 1])
    layer.build((None, 2, 2, 2))
    layer.prototypes.assign([[0.0, 0.0], [1.0, 1.0], [0.5, 0.0]])
    return layer


def features():
    """Two images of 2x2 locations."""
    first = [[[0.0, 1.0], [0.0, 0.5]], [[1.0, 1.0], [1.0, 0.0]]]
    second = [[[0.2, 0.0], [0.2, 0.0]], [[0.0, 0.6], [1.0, 0.2]]]
    return np.array([first, second], "float32")


def test_distances_are_squared_l2_distances(layer):
    distances = layer.distances(features()).numpy()
    differences = features()[..., None, :] - layer.prototypes.numpy()
    np.testing.assert_allclose(distances, (differences**2).sum(-1), atol=1e-6)
    # By hand: (0, 1) is 1 from (0, 0) and from (1, 1), and 0.25 + 1 from (0.5, 0).
    np.testing.assert_allclose(distances[0, 0, 0], [1.0, 1.0, 1.25], atol=1e-6)


def test_the_nearest_location_counts(layer):
    expected = [[0.25, 0.0, 0.25], [0.04, 0.64, 0.09]]
    np.testing.assert_allclose(layer(features()), expected, atol=1e-6)
    rows = features().reshape(2, 4, 2)
    np.testing.assert_array_equal(layer(rows), layer(features()))


def test_distances_are_never_negative():
    layer = Prototypes([1])
    patches = np.random.default_rng(0).uniform(0, 1, (1, 50, 50, 128))
    layer.build(patches.shape)
    layer.prototypes.assign(patches[0, 3, 4][None])
    distances = layer.distances(patches.astype("float32")).numpy()
    assert distances.min() >= 0.0
    assert distances[0, 3, 4, 0] < 1e-5
    assert distances.argmin() == 3 * 50 + 4


def test_similarity_is_the_formula():
    similarity = PrototypeSimilarity()
    distances = np.array([0.0, 1.0, 3.0], "float32")
    # log(1 / 1e-4), log(2 / 1.0001), log(4 / 3.0001)
    expected = [9.210340, 0.693047, 0.287649]
    np.testing.assert_allclose(similarity(distances), expected, atol=1e-5)
    np.testing.assert_allclose(PrototypeSimilarity(0.5)(distances)[0], np.log(2))


def test_classes_follow_the_counts_and_sources_are_unknown_at_first(layer):
    assert layer.classes.numpy().tolist() == [0, 0, 1]
    assert layer.source_image.numpy().tolist() == [-1, -1, -1]
    assert layer.source_cell.numpy().tolist() == [[-1, -1]] * 3
    assert layer.source_box.numpy().tolist() == [[0.0] * 4] * 3
    assert not layer.pushed
    layer.source_image.assign([4, 0, 2])
    assert layer.pushed
    assert [weight.path.split("/")[-1] for weight in layer.trainable_weights] == [
        "prototypes"
    ]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_types_are_computed_in_float32(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        layer = Prototypes([1])
        result = PrototypeSimilarity()(layer(np.full((1, 1, 1, 4), 0.3, "float16")))
    finally:
        keras.config.set_dtype_policy(before)
    assert layer.prototypes.dtype == "float32"
    assert result.dtype == "float32"
    difference = np.float32(np.float16(0.3)) - layer.prototypes.numpy()
    distance = (difference**2).sum()
    expected = np.log((distance + 1) / (distance + 1e-4))
    np.testing.assert_allclose(result[0, 0], expected, rtol=1e-5)


def test_layers_are_made_from_plain_data(layer):
    config = layer.get_config()
    assert config["prototypes_per_class"] == [2, 1]
    assert Prototypes.from_config(config).count == 3
    similarity = PrototypeSimilarity.from_config(PrototypeSimilarity(0.5).get_config())
    assert similarity.epsilon == 0.5


@pytest.mark.parametrize(
    "counts, error, message",
    [
        ([], TypeError, "must be a list of one int a class"),
        (3, TypeError, "prototypes_per_class=3"),
        ([2, 1.0], TypeError, "must be a list of one int a class"),
        ([2, True], TypeError, "must be a list of one int a class"),
        ([2, 0], ValueError, r"at least one prototype. Received: .*\[2, 0\]"),
    ],
)
def test_bad_counts_are_refused(counts, error, message):
    with pytest.raises(error, match=message):
        Prototypes(counts)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="`epsilon` must be within"):
        PrototypeSimilarity(0.0)
    with pytest.raises(ValueError, match=r"Received: features of shape \(2, 3\)"):
        Prototypes([1])(np.zeros((2, 3), "float32"))
