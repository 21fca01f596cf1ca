import numpy as np
import pytest

from keras_xcons.metrics import entropy, flat

RANDOM = np.random.default_rng(0)
EDGE = np.nextafter(0.5, 1.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 1.0], 1),
        ([EDGE, 1.0], 1),
        ([0.5, 1.0], 0),
        ([0.0, 7.0], 0),
        ([3e-30, 5e-30], 1),
        ([0.0, 0.0], np.nan),
    ],
)
def test_a_map_is_flat_above_half_its_maximum(values, expected):
    found = flat([[values]])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [expected])


def test_entropy_by_hand():
    maps = [[[1.0, 1, 1, 1]], [[0, 3.0, 0, 0]], [[0, 1.0, 1, 0]], [[1.0, 2, 1, 0]]]
    found = entropy([*maps, np.zeros((1, 4))])
    assert found.dtype == np.float32
    known = [1.0, 0.0, 0.5, 1.5 / 2.0, np.nan]
    np.testing.assert_allclose(found, known, rtol=1e-6)
    np.testing.assert_array_equal(entropy(np.ones((1, 1, 1))), [1.0])


def test_entropy_is_that_of_scipy():
    from scipy import stats

    maps = RANDOM.uniform(size=(4, 6, 5)) ** 3
    known = stats.entropy(maps.reshape(4, -1), axis=1) / np.log(30)
    np.testing.assert_allclose(entropy(maps), known, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
@pytest.mark.parametrize("measure", [entropy, flat])
def test_the_scale_does_not_matter(measure, scale):
    maps = RANDOM.uniform(0.4, 1.0, size=(9, 3, 4))
    np.testing.assert_allclose(measure(scale * maps), measure(maps), rtol=1e-6)


@pytest.mark.parametrize("measure", [entropy, flat])
@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (-np.ones((1, 2, 2)), "non-negative"),
        (np.full((1, 2, 2), np.nan), "finite"),
        (np.ones((2, 2)), r"\(batch, height, width\)"),
    ],
)
def test_refuses_wrong_heatmaps(measure, maps, message):
    with pytest.raises(ValueError, match=message):
        measure(maps)
