import numpy as np
import pytest
from scipy import stats

from keras_xcons import metrics
from keras_xcons.evaluation import across_runs, compare, summarize
from keras_xcons.evaluation.cross_fitting import BestThreshold
from keras_xcons.evaluation.runs import crossed_variance
from keras_xcons.evaluation.statistics import mean, value_of


def drawn(random, runs, images, between=0.4, shift=1.5):
    """Zeros and ones of runs of different quality on images of different difficulty."""
    parts = between * random.normal(size=(runs, 1)) + random.normal(size=(1, images))
    return (shift + parts + random.normal(size=(runs, images)) > 0).astype("float64")


def test_variance_is_that_of_a_two_way_table():
    table = np.random.default_rng(0).random((4, 30))
    of_runs = 30 * table.mean(axis=1).var(ddof=1)
    of_images = 4 * table.mean(axis=0).var(ddof=1)
    rest = table - table.mean(axis=1)[:, None] - table.mean(axis=0) + table.mean()
    of_rest = (rest**2).sum() / (3 * 29)
    parts = of_runs, max(of_images - of_rest, 0.0)
    variance, factor = crossed_variance(table)
    assert variance == pytest.approx(sum(parts) / 120)
    squares = [stats.t.ppf(0.975, freedom) ** 2 for freedom in (3, 29)]
    assert factor**2 == pytest.approx(np.dot(parts, squares) / sum(parts))


def test_of_runs_alone_it_is_students_and_of_images_alone_that_of_images():
    # All images alike within a run: three numbers.
    table = np.repeat([[0.2], [0.5], [0.9]], 50, axis=1)
    found = across_runs(table, limits=(None, None))
    expected = stats.ttest_1samp(table[:, 0], 0.0).confidence_interval()
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected))
    # All runs alike: one number an image.
    table = np.repeat(np.random.default_rng(1).random((1, 50)), 3, axis=0)
    found = across_runs(table, limits=(None, None))
    expected = stats.ttest_1samp(table[0], 0.0).confidence_interval()
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected))


def test_runs_that_agree_have_the_interval_of_their_images():
    hits = np.random.default_rng(2).random(400) < 0.9
    found = across_runs(np.repeat(hits[None], 3, axis=0))
    alone = summarize(hits)
    for end in ("value", "low", "high"):
        assert found[end] == pytest.approx(alone[end], abs=1e-3)
    assert (found["runs"], found["n"], found["skipped"]) == (3, 400, 0)


@pytest.mark.parametrize("paired", [False, True])
def test_agreement_of_all_is_not_certainty(paired):
    ones = np.ones((3, 20))
    found = across_runs(ones, ones if paired else None)
    alone = compare(ones[0], ones[0]) if paired else summarize(ones[0])
    assert {**alone, "runs": 3} == pytest.approx(found)
    assert across_runs(np.full((2, 5), 3.0), limits=(0.0, None))["low"] is None


def test_runs_widen_an_interval_over_images():
    random = np.random.default_rng(3)
    table = drawn(random, 3, 500, between=0.5)
    found = across_runs(table)
    alone = summarize(table.mean(axis=0), limits=(0.0, 1.0))
    assert found["low"] < alone["low"] < found["value"] < alone["high"] < found["high"]
    assert 0.0 <= found["low"] and found["high"] <= 1.0


def test_three_runs_are_covered_where_a_bootstrap_of_them_is_not():
    random = np.random.default_rng(4)
    truth = stats.norm.cdf(1.5 / np.sqrt(2.0 + 0.4**2))
    covered = resampled = 0
    for _ in range(150):
        table = drawn(random, 3, 300)
        found = across_runs(table)
        covered += found["low"] <= truth <= found["high"]
        runs, images = (
            random.multinomial(n, np.ones(n) / n, size=200) / n for n in (3, 300)
        )
        values = np.sum(runs @ table * images, axis=1)
        low, high = np.quantile(values, [0.025, 0.975])
        resampled += low <= truth <= high
    assert covered / 150 >= 0.92 and resampled / 150 <= 0.88


def test_difference_of_methods_is_paired_by_seed_and_image():
    random = np.random.default_rng(5)
    plain = random.beta(5.0, 2.0, (3, 200)) * 0.8
    better = plain + 0.05 + 0.01 * random.normal(size=plain.shape)
    found = across_runs(better, plain)
    assert found["value"] == pytest.approx((better - plain).mean())
    assert 0.04 < found["low"] < found["high"] < 0.06
    mirrored = across_runs(plain, better)
    assert mirrored["low"] == pytest.approx(-found["high"])


def test_a_difference_within_a_method_may_have_either_sign():
    gaps = np.random.default_rng(6).integers(-1, 2, (3, 60))
    found = across_runs(gaps, limits=(-1.0, 1.0))
    assert -0.5 < found["low"] < found["value"] < found["high"] < 0.5
    half = 0.5 * (found["high"] - found["low"])
    variance, factor = crossed_variance(gaps.astype("float64"))
    assert half == pytest.approx(factor * np.sqrt(variance), rel=0.1)


def test_pixels_of_all_images_come_in_by_their_pseudo_values():
    random = np.random.default_rng(7)
    rows = random.integers(1, 50, (3, 40, 2, 8)).astype("float64")

    def precision(histograms, counts):
        return metrics.pxap(mean(histograms, counts))

    found = across_runs(rows, statistic=precision)
    values = [value_of(run, statistic=precision) for run in rows]
    assert found["value"] == pytest.approx(np.mean(values))
    assert found["low"] < min(values) and max(values) < found["high"]
    # The pseudo-values of a mean are the values.
    table = random.random((3, 40))
    same = across_runs(table, statistic=lambda v, counts: mean(v, counts))
    assert same == pytest.approx(across_runs(table))


def test_thresholds_are_cross_fitted_within_each_run():
    hits = (np.random.default_rng(8).random((3, 40, 3, 50)) < 0.6).astype("float32")
    statistic = BestThreshold((1,))
    found = across_runs(hits, statistic=statistic)
    values = [value_of(run, statistic=statistic) for run in hits]
    assert found["value"] == pytest.approx(np.mean(values))
    # Averaged over splits the values hardly vary; their interval still does.
    assert found["high"] - found["low"] > 0.15


def test_an_image_that_any_run_leaves_out_is_left_out():
    table = np.random.default_rng(9).random((2, 10))
    others = table / 2.0
    others[1, 4] = np.nan
    found = across_runs(table, others)
    kept = np.delete(np.arange(10), 4)
    assert found == {**across_runs(table[:, kept], others[:, kept]), "skipped": 1}
    assert across_runs(table[:, :1]) is None


@pytest.mark.parametrize(
    "values, others, message",
    [
        (np.zeros(5), None, r"2 or more runs.*\(5,\)"),
        (np.zeros((1, 5)), None, r"2 or more runs.*\(1, 5\)"),
        (np.zeros((2, 5)), np.zeros((3, 5)), r"same seeds.*\(2, 5\).*\(3, 5\)"),
    ],
)
def test_what_is_no_runs_is_refused(values, others, message):
    with pytest.raises(ValueError, match=message):
        across_runs(values, others)


def test_intervals_stay_inside_a_range_with_one_end():
    values = np.abs(np.random.default_rng(0).normal(size=(3, 20))) * 0.01
    values[0] += 0.2
    found = across_runs(values, limits=(0.0, None))
    assert found["low"] == 0.0 < found["value"] < found["high"]
    assert across_runs(values, values[::-1], limits=(0.0, None))["low"] < 0.0


@pytest.mark.parametrize("limits", [(0.0, 1.0), (None, 0.9)])
def test_values_outside_of_the_range_are_refused(limits):
    with pytest.raises(ValueError, match="within the range of the figure"):
        across_runs(np.linspace(0.0, 3.0, 8).reshape(2, 4), limits=limits)


def _tables():
    """Pairs of tables of shares and of numbers, and some that hardly vary."""
    random = np.random.default_rng(0)
    for _ in range(100):
        shape = random.integers(2, 5), random.integers(2, 30)
        first, second = random.beta(0.3, 0.3, size=2)
        yield (
            (random.random(shape) < first) * 1.0,
            (random.random(shape) < second) * 1.0,
        )
        yield np.round(random.random(shape), 1), np.full(shape, second)
        noise = 10.0 ** -random.integers(4, 18) * random.random(shape)
        yield np.clip(first + noise, 0.0, 1.0), np.full(shape, second)


def test_a_value_lies_in_its_interval_and_that_in_its_limits():
    for one, other in _tables():
        for found, low, high in (
            (across_runs(one), 0.0, 1.0),
            (across_runs(one, other), -1.0, 1.0),
            (across_runs(one - other, limits=(-1, 1)), -1.0, 1.0),
            (across_runs(2 * one - 0.5, limits=(-0.5, 1.5)), -0.5, 1.5),
        ):
            assert low <= found["low"] <= found["value"] <= found["high"] <= high


@pytest.mark.parametrize("share", [-1.0, -0.1, 0.0, 0.1, 0.5, 1.0])
def test_runs_that_do_not_vary_are_as_one_of_them(share):
    # By formula: n / (n + z²) of the way from either end of the range to the value.
    part = 50 / (50 + 1.959964**2)
    one = np.full((3, 50), max(share, 0.0))
    found = across_runs(one, one - share)
    assert found["low"] == pytest.approx(-1 + part * (share + 1), abs=1e-6)
    assert found["high"] == pytest.approx(1 + part * (share - 1), abs=1e-6)
    alone = compare(one[0], one[0] - share, limits=(0.0, 1.0))
    assert {**alone, "runs": 3} == pytest.approx(found)


@pytest.mark.parametrize(
    "values, message",
    [
        (np.zeros((2, 5, 3, 50)), r"statistic=.*METRICS.*\(2, 5, 3, 50\)"),
        ([np.zeros(5), np.zeros(6)], r"\(runs, images.*list of \(5,\), \(6,\)"),
        ([{"accuracy": np.zeros(5)}] * 2, r"`measured\[name\]`.*list of dict"),
        ([[0.0, np.inf], [1.0, 1.0]], r"finite.*1 infinite values of 4"),
    ],
)
def test_what_is_no_table_is_refused_in_a_line(values, message):
    with pytest.raises(ValueError, match=message):
        across_runs(values)
