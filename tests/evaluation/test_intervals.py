"""Intervals against published values, scipy's, and what they must cover."""

import numpy as np
import pytest
from scipy import optimize, stats

from keras_xcons.evaluation.means import mean_interval
from keras_xcons.evaluation.proportions import paired_difference, proportion
from keras_xcons.evaluation.resampling import bias_corrected, jackknife, resamples


@pytest.mark.parametrize("hits, count", [(0, 10), (1, 7), (19, 20), (50, 50), (7, 500)])
def test_a_proportion_has_wilsons_interval(hits, count):
    known = stats.binomtest(hits, count).proportion_ci(method="wilson")
    found = proportion(hits / count, count)
    assert found == pytest.approx((known.low, known.high), abs=1e-14)


@pytest.mark.parametrize("count", [20, 50, 100, 500])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_proportions_are_covered_nowhere_much_below_or_above_95_percent(share, count):
    hits = np.arange(count + 1)
    low, high = proportion(hits / count, count)
    inside = (low <= share) & (share <= high)
    covered = stats.binom.pmf(hits, count, share)[inside].sum()
    # Under is what discreteness leaves: at 50 images and 0.98 it is 92.2 or 98.2 %.
    assert 0.92 <= covered <= 0.975


def test_part_of_a_hit_lies_between_the_whole_ones():
    low, high = proportion(np.array([0.9, 0.925, 0.95]), 20)
    assert (np.diff(low) > 0).all() and (np.diff(high) > 0).all()


@pytest.mark.parametrize(
    "gains, losses, count, expected",
    [
        # Bentur et al. 2009 and Cavo et al. 2012, as in Fagerland, Lydersen and
        # Laake 2017, Statistical analysis of contingency tables, chapter 8.
        (1, 7, 21, (-0.517, -0.026)),
        (6, 16, 161, (-0.1240, -0.0054)),
    ],
)
def test_paired_difference_is_that_of_published_examples(
    gains, losses, count, expected
):
    found = paired_difference(gains, losses, count)
    assert found == pytest.approx(expected, abs=6e-4)
    low, high = paired_difference(losses, gains, count)
    assert (low, high) == pytest.approx((-found[1], -found[0]))


@pytest.mark.parametrize("gains, losses, count", [(9, 1, 50), (3, 0, 12), (40, 30, 90)])
def test_score_is_that_of_the_most_likely_shares(gains, losses, count):
    for difference in paired_difference(gains, losses, count):

        def unlikely(lost, difference=difference):
            won, same = lost + difference, 1.0 - 2.0 * lost - difference
            terms = zip(
                (gains, losses, count - gains - losses), (won, lost, same), strict=True
            )
            return -sum(n * np.log(max(p, 1e-12)) for n, p in terms)

        edges = max(0.0, -difference), (1.0 - difference) / 2.0
        lost = optimize.minimize_scalar(
            unlikely, bounds=edges, method="bounded", options={"xatol": 1e-10}
        ).x
        spread = count * (2.0 * lost + difference - difference**2)
        score = (gains - losses - count * difference) / np.sqrt(spread)
        assert abs(score) == pytest.approx(stats.norm.ppf(0.975), abs=1e-3)


def test_paired_differences_are_covered():
    random = np.random.default_rng(0)
    drawn = random.multinomial(100, [0.12, 0.06, 0.82], size=4000)
    low, high = paired_difference(drawn[:, 0], drawn[:, 1], 100)
    covered = np.mean((low <= 0.06) & (0.06 <= high))
    assert 0.935 <= covered <= 0.965


@pytest.mark.parametrize(
    "draw",
    [
        lambda random, size: random.beta(40.0, 1.0, size),
        lambda random, size: random.beta(0.3, 3.0, size),
        lambda random, size: (random.random(size) < 0.4) * random.beta(2.0, 4.0, size),
    ],
    ids=["E near 1", "energy near 0", "zeros among others"],
)
def test_means_of_skewed_values_are_covered(draw):
    random = np.random.default_rng(0)
    truth = draw(random, 400_000).mean()
    low, high = mean_interval(draw(random, (50, 600)), (0.0, 1.0))
    covered = np.mean((low <= truth) & (truth <= high))
    # Three standard errors of 600 trials around 95 %.
    assert 0.923 <= covered <= 0.977


def test_studentised_interval_is_scipys_of_student_for_many_alike():
    values = np.random.default_rng(1).normal(0.0, 1.0, 800)
    low, high = mean_interval(values)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval()
    assert (low, high) == pytest.approx(tuple(expected), abs=0.005)


def test_bias_corrected_interval_is_scipys():
    values = np.random.default_rng(2).exponential(1.0, 400)

    def spread(counts):
        shares = counts / counts.sum(axis=1, keepdims=True)
        return shares @ values**2 - (shares @ values) ** 2

    found = bias_corrected(spread, 400, values.var(), seed=0)
    expected = stats.bootstrap(
        (values,), np.var, method="BCa", n_resamples=4000, rng=0
    ).confidence_interval
    assert found == pytest.approx(tuple(expected), rel=0.03)


def test_jackknife_leaves_each_image_out_or_one_of_the_groups():
    values = np.arange(1300.0)
    few = jackknife(lambda counts: counts @ values[:30], 30, seed=0)
    np.testing.assert_allclose(np.sort(few), np.sort(values[:30].sum() - values[:30]))
    many = jackknife(lambda counts: counts @ values, 1300, seed=0)
    assert many.shape == (500,)
    assert np.sum(values.sum() - many) == pytest.approx(values.sum())


def test_resamples_are_of_all_images_and_held_a_few_at_a_time():
    drawn = resamples(300_000, seed=0)
    batches = [next(drawn), next(drawn)]
    assert [batch.shape for batch in batches] == [(6, 300_000)] * 2
    assert (batches[0].sum(axis=1) == 300_000).all()
