import numpy as np
import pytest

from keras_xcons.evaluation import compare, summarize
from keras_xcons.evaluation.statistics import mean


def test_interval_of_equal_values_has_no_width():
    found = summarize(np.full(7, 0.25))
    assert found == {"value": 0.25, "low": 0.25, "high": 0.25, "n": 7, "skipped": 0}
    assert summarize([1.0])["n"] == 1


def test_interval_repeats_by_seed():
    values = np.random.default_rng(0).random(50)
    assert summarize(values, 1) == summarize(values, 1)
    assert summarize(values, 1) != summarize(values, 2)
    assert summarize(values) == summarize(values, 0)


def test_interval_is_that_of_a_mean():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = summarize(values)
    assert found["value"] == pytest.approx(values.mean())
    assert found["n"] == 400
    half = 1.96 * values.std() / 20
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    found = [summarize(random.random(60) < 0.7) for _ in range(300)]
    covered = np.mean([one["low"] <= 0.7 <= one["high"] for one in found])
    # Three standard errors of 300 trials, and a percentile interval runs narrow.
    assert 0.90 <= covered <= 0.985


def test_images_with_nan_are_left_out_and_counted():
    values = np.array([0.0, np.nan, 1.0, np.nan])
    found = summarize(values)
    assert (found["value"], found["n"], found["skipped"]) == (0.5, 2, 2)
    # One NaN among the numbers of an image leaves the image out.
    rows = np.array([[1.0, 1.0], [np.nan, 0.0], [0.0, 1.0]])
    assert summarize(rows, statistic=lambda v, c: mean(v, c)[:, 0])["value"] == 0.5


def test_no_image_left_is_no_figure():
    assert summarize(np.array([np.nan])) is None
    assert summarize(np.empty(0)) is None


def best_column(values, counts):
    return mean(values, counts).max(axis=-1)


def test_statistic_that_is_no_mean():
    # By itself each column has 0.5; the best of a resample is above that.
    rows = np.eye(2)[np.arange(40) % 2]
    found = summarize(rows, statistic=best_column)
    assert found["value"] == 0.5
    assert 0.5 <= found["low"] < found["high"] <= 1.0


def test_a_resample_without_a_figure_has_no_say():
    def share_of_first(values, counts):
        with np.errstate(invalid="ignore"):
            return counts[:, 0] / counts[:, :2].sum(axis=1)

    # Of five images drawn, neither of the two may be among them.
    found = summarize(np.arange(5.0), statistic=share_of_first)
    assert (found["value"], found["low"], found["high"]) == (0.5, 0.0, 1.0)


def test_resampled_means_are_those_of_the_images_drawn():
    values = np.arange(12.0).reshape(4, 3)
    counts = np.array([[1.0, 0.0, 2.0, 1.0], [0.0, 4.0, 0.0, 0.0]])
    expected = [values[[0, 2, 2, 3]].mean(axis=0), values[1]]
    np.testing.assert_allclose(mean(values, counts), expected)
    np.testing.assert_allclose(mean(values[:, 0], counts), np.array(expected)[:, 0])


def test_paired_difference_is_far_narrower_than_the_two_intervals():
    random = np.random.default_rng(0)
    plain = random.random(100)
    other = plain + 0.1 + 0.01 * random.normal(size=100)
    found = compare(other, plain)
    assert 0.09 < found["low"] < found["value"] < found["high"] < 0.11
    unpaired = summarize(plain)
    assert unpaired["high"] - unpaired["low"] > 10 * (found["high"] - found["low"])


def test_difference_of_means_is_the_mean_difference():
    random = np.random.default_rng(1)
    values, others = random.random((2, 30))
    found, expected = compare(values, others), summarize(values - others)
    assert found == pytest.approx(expected)


def test_difference_of_a_statistic_uses_the_same_images_for_both():
    rows = np.random.default_rng(2).random((25, 3))
    found = compare(rows + 0.5, rows, statistic=best_column)
    assert found["value"] == pytest.approx(0.5)
    assert found["high"] - found["low"] < 1e-9


def test_difference_leaves_out_what_either_leaves_out():
    values = np.array([1.0, np.nan, 1.0, 1.0])
    others = np.array([0.0, 0.0, np.nan, 0.5])
    found = compare(values, others)
    assert (found["value"], found["n"], found["skipped"]) == (0.75, 2, 2)


def test_models_are_compared_on_the_same_images():
    with pytest.raises(ValueError, match=r"same images.*\(3,\) and \(4,\)"):
        compare(np.zeros(3), np.zeros(4))
