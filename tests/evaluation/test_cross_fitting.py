import numpy as np
import pytest

from keras_xcons import metrics
from keras_xcons.evaluation import compare, summarize
from keras_xcons.evaluation.cross_fitting import SPLITS, BestThreshold
from keras_xcons.evaluation.statistics import value_of

MIDDLE = BestThreshold((1,))
ALL = BestThreshold((0, 1, 2))
UNIT = (0.0, 1.0)


def flat_hits(count, share=0.6, thresholds=50, seed=0):
    """Hits of which every threshold has the same share: none is the best one."""
    shape = (count, 3, thresholds)
    return (np.random.default_rng(seed).random(shape) < share).astype("float32")


def test_in_sample_is_the_metric_of_all_images():
    hits = flat_hits(30)
    (found,) = MIDDLE(hits, np.ones((1, 30)))
    assert found == pytest.approx(float(metrics.max_box_acc(hits[:, 1].mean(axis=0))))
    (found,) = ALL(hits, np.ones((1, 30)))
    assert found == pytest.approx(float(metrics.max_box_acc_v2(hits.mean(axis=0))))


def test_the_threshold_of_one_half_is_measured_on_the_other():
    # Two images, two thresholds: what is best for the one is a miss for the other.
    hits = np.repeat(np.eye(2)[:, None], 3, axis=1)
    found = summarize(hits, statistic=MIDDLE, limits=UNIT)
    assert (found["value"], found["in_sample"]) == (0.0, 0.5)
    # The same threshold for both is found by both.
    hits = np.repeat(np.array([[[1.0, 0.0]], [[1.0, 0.0]]]), 3, axis=1)
    assert value_of(hits, statistic=MIDDLE) == 1.0
    # Both thresholds are as good on the other image, and each is a hit of this one.
    hits = np.repeat(np.array([[[1.0, 1.0]], [[1.0, 0.0]]]), 3, axis=1)
    found = {tuple(split.mean(axis=1)) for split in MIDDLE.splits(hits, seed=0)}
    assert found == {(1.0, 0.5)}


def test_every_level_has_a_threshold_of_its_own():
    hits = np.zeros((8, 3, 4), "float32")
    hits[:, 0, 0] = hits[:, 1, 3] = 1.0
    assert value_of(hits, statistic=ALL) == pytest.approx(2 / 3)
    assert value_of(hits, statistic=MIDDLE) == 1.0


def test_a_single_image_has_no_other_to_choose_on():
    found = summarize(flat_hits(1), statistic=MIDDLE, limits=UNIT)
    assert found["value"] == pytest.approx(flat_hits(1)[0, 1].mean())
    assert found["in_sample"] == 1.0
    assert found["low"] < 0.15 and found["high"] > 0.85


@pytest.mark.parametrize("statistic", [MIDDLE, ALL])
def test_cross_fitted_figure_is_neither_biased_nor_covers_too_little(statistic):
    found = [
        summarize(flat_hits(60, seed=seed), statistic=statistic, limits=UNIT)
        for seed in range(80)
    ]
    value, in_sample = (
        np.mean([one[name] for one in found]) for name in ("value", "in_sample")
    )
    assert value == pytest.approx(0.6, abs=0.02)
    # Of 50 thresholds one is lucky.
    assert in_sample > 0.68
    covered = [one["low"] <= 0.6 <= one["high"] for one in found]
    assert np.mean(covered) >= 0.92


def test_without_a_choice_it_is_the_proportion():
    # One threshold: nothing to fit.
    hits = flat_hits(40, thresholds=1)
    found = summarize(hits, statistic=MIDDLE, limits=UNIT)
    expected = summarize(hits[:, 1, 0], limits=UNIT)
    assert found.pop("in_sample") == pytest.approx(expected["value"])
    assert found == pytest.approx(expected)
    others = flat_hits(40, thresholds=1, seed=1)
    found = compare(hits, others, statistic=MIDDLE, limits=UNIT)
    expected = compare(hits[:, 1, 0], others[:, 1, 0], limits=UNIT)
    assert found.pop("in_sample") == pytest.approx(expected["value"])
    assert found == pytest.approx(expected)


def test_halves_are_drawn_by_the_seed_and_many():
    hits = flat_hits(25)
    found = [split.mean() for split in MIDDLE.splits(hits, seed=3)]
    assert len(found) == SPLITS and len(set(found)) > 1
    assert value_of(hits, 3, MIDDLE) == pytest.approx(np.mean(found))
    assert value_of(hits, 3, MIDDLE) == value_of(hits, 3, MIDDLE)
    # One half alone moves by several points from seed to seed.
    spread = np.std([value_of(hits, seed, MIDDLE) for seed in range(12)])
    assert spread < 0.4 * np.std(found)


@pytest.mark.parametrize("statistic", [MIDDLE, ALL])
def test_a_model_equals_itself_but_not_for_certain(statistic):
    hits = flat_hits(50)
    found = compare(hits, hits, statistic=statistic, limits=UNIT)
    assert found["value"] == found["in_sample"] == 0.0
    assert found["low"] == pytest.approx(-0.0713, abs=1e-3)
    assert found["high"] == pytest.approx(0.0713, abs=1e-3)


def test_difference_is_that_of_the_figures_and_its_interval_leaves_out_zero():
    better, worse = flat_hits(200, 0.8), flat_hits(200, 0.4, seed=1)
    found = compare(better, worse, statistic=ALL, limits=UNIT)
    values = [value_of(hits, statistic=ALL) for hits in (better, worse)]
    assert found["value"] == pytest.approx(values[0] - values[1])
    assert 0.0 < found["low"] < found["value"] < found["high"] < 1.0


def test_images_without_truth_are_left_out():
    hits = flat_hits(20)
    hits[3] = np.nan
    found = summarize(hits, statistic=MIDDLE, limits=UNIT)
    expected = summarize(np.delete(hits, 3, axis=0), statistic=MIDDLE, limits=UNIT)
    assert found == {**expected, "skipped": 1}
