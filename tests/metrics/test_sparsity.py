import numpy as np
import pytest

from keras_xcons.metrics import gini

RANDOM = np.random.default_rng(0)


def test_gini_by_hand():
    maps = np.array(
        [
            [[0.0, 0.0], [0.0, 0.3]],  # one pixel: 1 - 1/4
            [[0.2, 0.2], [0.2, 0.2]],  # uniform
            [[0.0, 0.5], [0.5, 0.0]],  # half of the pixels
            [
                [4.0, 1.0],
                [3.0, 2.0],
            ],  # 1 - 2 (1 * 3.5 + 2 * 2.5 + 3 * 1.5 + 4 * 0.5)/40
        ]
    )
    found = gini(maps)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.75, 0.0, 0.5, 0.25], atol=1e-7)


def test_gini_is_half_the_relative_mean_difference():
    maps = RANDOM.uniform(size=(4, 6, 5)) ** 3
    values = maps.reshape(4, -1)
    differences = np.abs(values[:, :, None] - values[:, None]).mean(axis=(1, 2))
    np.testing.assert_allclose(
        gini(maps), differences / (2 * values.mean(axis=1)), rtol=1e-5
    )


def test_an_empty_map_is_left_out():
    maps = np.zeros((2, 3, 3))
    maps[1, 0, 0] = 1.0
    np.testing.assert_allclose(gini(maps), [np.nan, 8 / 9], rtol=1e-6)


def test_gini_knows_neither_scale_nor_place():
    maps = RANDOM.uniform(size=(3, 8, 4))
    moved = RANDOM.permuted(maps.reshape(3, -1), axis=1).reshape(3, 4, 8)
    np.testing.assert_allclose(gini(1e-6 * moved), gini(maps), rtol=1e-6)


def test_gini_stays_in_its_range_and_rises_with_sparsity():
    base = RANDOM.uniform(size=(1, 16, 16))
    found = [gini(base**power)[0] for power in (0.1, 1, 4, 64)]
    assert found == sorted(found)
    assert 0.0 < found[0] and found[-1] < 1.0
    # A rounding must not make a uniform map negative.
    uniform = np.full((50, 13, 7), 1.0) * RANDOM.uniform(size=(50, 1, 1))
    assert gini(uniform).min() >= 0.0
    np.testing.assert_allclose(gini(uniform), np.zeros(50), atol=1e-6)
    np.testing.assert_array_equal(gini(np.ones((1, 1, 1))), [0.0])


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (-np.ones((1, 2, 2)), "non-negative"),
        (np.full((1, 2, 2), np.nan), "finite"),
        (np.ones((2, 2)), r"\(batch, height, width\)"),
    ],
)
def test_refuses_wrong_heatmaps(maps, message):
    with pytest.raises(ValueError, match=message):
        gini(maps)
