import numpy as np
import pytest
from scipy import stats

from keras_xcons.evaluation import compare, summarize
from keras_xcons.evaluation.statistics import INTERVAL, mean, value_of

UNIT = (0.0, 1.0)


def ends(found):
    return found["low"], found["high"]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 500])
@pytest.mark.parametrize("value", [0.0, 0.25, 0.98, 1.0])
def test_images_that_are_all_alike_do_not_make_a_figure_certain(value, count):
    found = summarize(np.full(count, value), limits=UNIT)
    # Wilson's: of n images that are alike, this share of all may be otherwise.
    unseen = 1.96**2 / (count + 1.96**2)
    expected = value - unseen * value, value + unseen * (1.0 - value)
    assert ends(found) == pytest.approx(expected, abs=1e-4)
    assert found["value"] == pytest.approx(value)
    assert (found["n"], found["skipped"]) == (count, 0)


def test_what_has_no_limits_and_no_spread_has_no_interval():
    assert ends(summarize(np.full(7, 0.25))) == (None, None)
    assert ends(summarize([2.0], limits=(0.0, None))) == (None, None)
    assert ends(compare([2.0, 3.0], [1.0, 2.0])) == (None, None)


@pytest.mark.parametrize("values", [[0.9, 0.97], [0.9, 0.97, 0.98]])
def test_two_or_three_images_say_little(values):
    found = summarize(values, limits=UNIT)
    assert 0.0 <= found["low"] < min(values) and max(values) < found["high"] <= 1.0
    assert found["high"] - found["low"] > 0.5


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


def test_skewed_values_have_a_skewed_interval_inside_their_range():
    values = np.random.default_rng(0).beta(10.0, 0.3, 30)
    found = summarize(values, limits=UNIT)
    below, above = found["value"] - found["low"], found["high"] - found["value"]
    assert below > 1.3 * above and found["high"] <= 1.0
    expected = stats.bootstrap((values,), np.mean, method="BCa", rng=0)
    # Further than BCa to the side of the tail, which is what BCa covers too little of.
    assert found["low"] < expected.confidence_interval.low


def test_shares_have_the_interval_of_a_proportion():
    values = np.repeat([True, False], [19, 1])
    assert ends(summarize(values)) == ends(summarize(values, 7, limits=UNIT))
    assert ends(summarize(values)) == pytest.approx((0.763869, 0.991119), abs=1e-6)
    # Zeros and ones that may be any number are no shares.
    assert summarize(values, limits=(0.0, None)) != summarize(values)


def test_a_difference_of_shares_within_a_model_may_have_either_sign():
    # The background gap: none of ten images is worse off, others may be.
    found = summarize([1.0] * 3 + [0.0] * 7, limits=(-1.0, 1.0))
    assert found["low"] < 0.0 < found["value"] < found["high"] < 1.0


def test_images_with_nan_are_left_out_and_counted():
    values = np.array([0.0, np.nan, 1.0, np.nan])
    found = summarize(values)
    assert (found["value"], found["n"], found["skipped"]) == (0.5, 2, 2)
    assert found == {**summarize([0.0, 1.0]), "skipped": 2}
    # One NaN among the numbers of an image leaves the image out.
    rows = np.array([[1.0, 1.0], [np.nan, 0.0], [0.0, 1.0]])
    assert summarize(rows, statistic=lambda v, c: mean(v, c)[:, 0])["value"] == 0.5


def test_no_image_left_is_no_figure():
    assert summarize(np.array([np.nan])) is None
    assert summarize(np.empty(0)) is None
    assert value_of(np.array([np.nan])) is None


def best_column(values, counts):
    return mean(values, counts).max(axis=-1)


def test_statistic_that_is_no_mean():
    # By itself each column has 0.5; the best of a resample is above that.
    rows = np.eye(2)[np.arange(40) % 2]
    found = summarize(rows, statistic=best_column)
    assert found["value"] == 0.5 == value_of(rows, statistic=best_column)
    assert found["low"] <= 0.5 < found["high"] <= 1.0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_images_say_little_of_what_is_no_mean(count):
    rows = np.linspace(0.4, 0.5, 2 * count).reshape(count, 2)
    found = summarize(rows, statistic=best_column, limits=UNIT)
    assert 0.0 < found["low"] < 0.32 and 0.68 < found["high"] < 1.0


def test_a_resample_without_a_figure_has_no_say():
    def share_of_first(values, counts):
        with np.errstate(invalid="ignore"):
            return counts[:, 0] / counts[:, :2].sum(axis=1)

    # Of eight images drawn, neither of the two may be among them.
    found = summarize(np.arange(8.0), statistic=share_of_first)
    assert (found["value"], *ends(found)) == (0.5, 0.0, 1.0)


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


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("count", [1, 20, 300])
def test_a_model_equals_itself_but_not_for_certain(count, shares):
    values = np.random.default_rng(3).random(count)
    values = values > 0.5 if shares else values
    found = compare(values, values, limits=UNIT)
    assert found["value"] == 0.0 and found["low"] == pytest.approx(-found["high"])
    assert 2.0 / (count + 2.0) < found["high"] < 4.0 / (count + 3.0)


def test_a_single_image_that_differs_is_not_the_end_of_the_range():
    values = np.random.default_rng(4).random(1000)
    others = values.copy()
    others[0] -= 0.2
    found = compare(values, others, limits=UNIT)
    # Wilson's of one and of none in 1,000: each 0.2 at most.
    assert found["low"] == pytest.approx(-0.2 * 3.83e-3 + 0.2 * 0.18e-3, abs=1e-5)
    assert found["high"] == pytest.approx(0.2 * 5.6e-3, rel=0.1)


def test_difference_of_a_statistic_uses_the_same_images_for_both():
    rows = np.random.default_rng(2).random((25, 3))
    found = compare(rows * 0.5, rows, statistic=best_column, limits=UNIT)
    alone = summarize(rows * 0.5, statistic=best_column, limits=UNIT)
    assert found["value"] == pytest.approx(-alone["value"])
    assert ends(found) == pytest.approx((-alone["high"], -alone["low"]), abs=0.01)


def test_difference_leaves_out_what_either_leaves_out():
    values = np.array([1.0, np.nan, 1.0, 1.0])
    others = np.array([0.0, 0.0, np.nan, 0.5])
    found = compare(values, others)
    assert (found["value"], found["n"], found["skipped"]) == (0.75, 2, 2)


def test_models_are_compared_on_the_same_images():
    with pytest.raises(ValueError, match=r"same images.*\(3,\) and \(4,\)"):
        compare(np.zeros(3), np.zeros(4))


def test_the_way_intervals_are_made_is_named():
    assert INTERVAL.startswith("95 % over images: Wilson") and "2,000" in INTERVAL


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_all_alike_without_limits_have_no_interval(dtype):
    # The mean of 50 times 0.3 is not 0.3 in float64.
    found = summarize(np.full(50, 0.3, dtype))
    assert (found["low"], found["high"]) == (None, None)


@pytest.mark.parametrize(
    "values, limits, message",
    [
        (np.zeros((20, 3)), None, r"\(images,\).*\(20, 3\)"),
        (0.5, None, r"\(images,\).*shape \(\)"),
        (np.array([1.0, 2.0, 3.0]), (0, 1), r"`limits`.*1 to 3.*\(0, 1\)"),
    ],
)
def test_what_no_figure_can_be_made_of_is_refused(values, limits, message):
    with pytest.raises(ValueError, match=message):
        summarize(values, limits=limits)
    with pytest.raises(ValueError, match=message):
        compare(values, values, limits=limits)


def test_roundings_are_within_the_range_and_the_infinite_has_no_interval():
    assert summarize(np.array([0.5, 1.0 + 1e-6]), limits=(0, 1))["high"] <= 1.0
    found = summarize(np.array([1.0, 2.0, np.inf]))
    assert (found["value"], found["low"], found["high"]) == (np.inf, None, None)
