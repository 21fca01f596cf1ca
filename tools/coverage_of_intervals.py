"""Prints how often the 95 % intervals cover the truth, and a percentile bootstrap's.

    python tools/coverage_of_intervals.py --output tools/results/intervals.csv

Images are drawn from distributions whose truth is known: proportions (exact, by
adding up all outcomes), means of skewed values, paired differences, MaxBoxAcc over
thresholds that are nearly alike, and runs times images. The whole takes some minutes;
`--trials 50` some seconds. Of 2,000 trials a coverage of 95 % is known to ±1 point.
"""

import csv

import numpy as np
from absl import app, flags
from scipy import special, stats

from keras_xcons.evaluation import across_runs
from keras_xcons.evaluation.cross_fitting import (
    BestThreshold,
    cross_fitted,
    cross_fitted_difference,
)
from keras_xcons.evaluation.means import mean_interval
from keras_xcons.evaluation.proportions import paired_difference, proportion
from keras_xcons.evaluation.resampling import resamples

_TRIALS = flags.DEFINE_integer("trials", 2000, "Samples of each case.", lower_bound=10)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of all draws.")
_OUTPUT = flags.DEFINE_string("output", None, "CSV file to write; none by default.")

SIZES = (20, 50, 100, 500)
SHARES = (0.5, 0.9, 0.98)
OLD = "percentile bootstrap"
COLUMNS = ("kind", "case", "n", "interval", "coverage", "width", "bias", "trials")
# What is asked for; above it is too wide, below it promises too much.
ASKED = (0.93, 0.97)
_TAILS = (0.025, 0.975)
_THRESHOLDS = 50


def row(kind, case, count, interval, truth, ends, bias=None, weights=None):
    """One line of the table: how often `ends` hold the truth."""
    low, high = (np.asarray(end, "float64") for end in ends)
    # Ends that are the truth but for a rounding hold it.
    inside = (low <= truth + 1e-9) & (truth - 1e-9 <= high)
    return {
        "kind": kind,
        "case": case,
        "n": count,
        "interval": interval,
        "coverage": round(float(np.average(inside, weights=weights)), 4),
        "width": round(float(np.average(high - low, weights=weights)), 4),
        "bias": "" if bias is None else round(float(bias), 4),
        "trials": "exact" if weights is not None else low.size,
    }


def proportions():
    """Shares of images: every number of hits, by its probability."""
    for share in SHARES:
        for count in SIZES:
            hits = np.arange(count + 1)
            chance = stats.binom.pmf(hits, count, share)
            found = {
                "Wilson": proportion(hits / count, count),
                "Clopper-Pearson": _clopper_pearson(hits, count),
            }
            # A resample of zeros and ones is a binomial draw.
            drawn = (stats.binom.ppf(tail, count, hits / count) for tail in _TAILS)
            found[OLD] = [ends / count for ends in drawn]
            for name, ends in found.items():
                case = f"share {share}"
                yield row("proportion", case, count, name, share, ends, None, chance)


def _clopper_pearson(hits, count):
    low, high = stats.beta.ppf(
        np.array(_TAILS)[:, None],
        [hits, hits + 1],
        [count - hits + 1, count - hits],
    )
    return np.where(hits > 0, low, 0.0), np.where(hits < count, high, 1.0)


def skewed():
    """Distributions of one number an image: by name their mean, and how to draw."""
    return {
        "E near 1: beta(40, 1)": (40 / 41, lambda r, size: r.beta(40.0, 1.0, size)),
        "energy: beta(2, 5)": (2 / 7, lambda r, size: r.beta(2.0, 5.0, size)),
        "AUC at both ends: beta(.5, .5)": (0.5, lambda r, size: r.beta(0.5, 0.5, size)),
        "near 0: beta(.3, 3)": (1 / 11, lambda r, size: r.beta(0.3, 3.0, size)),
        "drop: 60 % zeros": (
            0.4 / 3,
            lambda r, size: (r.random(size) < 0.4) * r.beta(2.0, 4.0, size),
        ),
        "one in ten far off": (
            0.05 + 0.9 * 60 / 61,
            lambda r, size: np.where(
                r.random(size) < 0.1, r.random(size), r.beta(60.0, 1.0, size)
            ),
        ),
    }


def _percentile(values, seed):
    """The older interval of means of `(N, T)`: quantiles of resampled means."""
    found = [counts @ values / len(values) for counts in resamples(len(values), seed)]
    return np.quantile(np.concatenate(found), _TAILS, axis=0)


def means(random, trials):
    """Means of bounded, skewed values."""
    for case, (truth, draw) in skewed().items():
        for count in SIZES:
            values = draw(random, (count, trials))
            ends = mean_interval(values, (0.0, 1.0))
            yield row("mean", case, count, "bootstrap-t", truth, ends)
            yield row("mean", case, count, OLD, truth, _percentile(values, 0))


def differences(random, trials):
    """Paired differences of two models on the same images."""
    for gains, losses in ((0.02, 0.02), (0.1, 0.05), (0.3, 0.1)):
        for count in SIZES:
            shares = [gains, losses, 1.0 - gains - losses]
            drawn = random.multinomial(count, shares, size=trials)
            case = f"shares, {gains} won and {losses} lost"
            ends = paired_difference(drawn[:, 0], drawn[:, 1], count)
            truth = gains - losses
            yield row("difference", case, count, "Tango", truth, ends)
            again = random.multinomial(count, drawn / count, size=(1000, trials))
            ends = np.quantile((again[..., 0] - again[..., 1]) / count, _TAILS, axis=0)
            yield row("difference", case, count, OLD, truth, ends)
    case, (_, draw) = "E of two models", skewed()["E near 1: beta(40, 1)"]
    for count in SIZES:
        shared = draw(random, (count, trials))
        # The one model loses a little more of what is lost.
        values = -(1.0 - shared) * random.beta(0.5, 2.0, shared.shape)
        truth = -(1.0 / 41.0) * 0.2
        ends = mean_interval(values, (-1.0, 1.0))
        yield row("difference", case, count, "bootstrap-t", truth, ends)
        yield row("difference", case, count, OLD, truth, _percentile(values, 0))


def curves():
    """Shares hit over thresholds, of curves about as flat as those of heatmaps."""
    places = (np.arange(_THRESHOLDS) / _THRESHOLDS - 0.4) / 0.4
    flat = {"flat curve, 0.6": 0.6 - 0.12 * places**2}
    return {**flat, "steep curve, 0.6": np.maximum(0.6 - 0.6 * places**2, 0.02)}


def hits_of(random, curve, count, correlation=0.97):
    """Hits `(count, 1, T)`, of neighbouring thresholds alike."""
    latent = random.normal(size=(count, _THRESHOLDS))
    for place in range(1, _THRESHOLDS):
        fresh = np.sqrt(1.0 - correlation**2) * latent[:, place]
        latent[:, place] = correlation * latent[:, place - 1] + fresh
    return (latent < special.ndtri(curve))[:, None].astype("float32")


def thresholds(random, trials):
    """MaxBoxAcc: the truth is the share hit at the threshold that is best of all."""
    statistic = BestThreshold((0,))
    trials = max(trials // 5, 10)
    for case, curve in curves().items():
        truth = curve.max()
        for count in SIZES:
            fitted, plain, apart = [], [], []
            for trial in range(trials):
                hits = hits_of(random, curve, count)
                fitted.append(cross_fitted(statistic, hits, trial))
                value = statistic(hits, np.ones((1, count)))[0]
                again = np.concatenate(
                    [statistic(hits, counts) for counts in resamples(count, trial)]
                )
                plain.append((value, *np.quantile(again, _TAILS)))
                others = hits_of(random, curve, count)
                apart.append(cross_fitted_difference(statistic, hits, others, trial))
            for name, found in {"cross-fitted": fitted, OLD: plain}.items():
                value, low, high = np.transpose(found)
                bias = value.mean() - truth
                yield row("MaxBoxAcc", case, count, name, truth, (low, high), bias)
            value, low, high = np.transpose(apart)
            case_of_two = f"{case}, difference"
            name = "cross-fitted, Tango"
            ends = (low, high)
            yield row("MaxBoxAcc", case_of_two, count, name, 0.0, ends, value.mean())


def _two_ways(table, random):
    """The hierarchical percentile bootstrap, which resamples runs and images."""
    runs, images = (
        random.multinomial(number, np.full(number, 1.0 / number), size=1000) / number
        for number in table.shape
    )
    return np.quantile(np.sum((runs @ table) * images, axis=1), _TAILS)


def runs_and_images(random, trials):
    """Shares over runs of different quality, and their difference of two methods."""
    trials = max(trials // 5, 10)
    for runs in (2, 3, 5):
        for between in (0.0, 0.4):
            for count in (50, 500):
                spread = np.sqrt(2.0 + between**2)
                truth = special.ndtr(1.8 / spread)
                single, paired, older, older_paired = [], [], [], []
                for _ in range(trials):
                    image = random.normal(size=count)
                    of_run = between * random.normal(size=(2, runs, 1))
                    noise = random.normal(size=(2, runs, count))
                    one, two = (1.8 + image + of_run + noise > 0).astype("float64")
                    single.append(_ends(across_runs(one)))
                    paired.append(_ends(across_runs(one, two)))
                    older.append(_two_ways(one, random))
                    older_paired.append(_two_ways(one - two, random))
                case = f"{runs} runs, deviation {between}"
                for name, found, pairs in (
                    ("two-way variance", single, paired),
                    ("hierarchical percentile bootstrap", older, older_paired),
                ):
                    ends = np.transpose(found)
                    yield row("runs", case, count, name, truth, ends)
                    ends = np.transpose(pairs)
                    yield row("runs", f"{case}, difference", count, name, 0.0, ends)


def _ends(figure):
    return figure["low"], figure["high"]


def measured(trials, seed):
    """Yields all lines, kind by kind."""
    random = np.random.default_rng(seed)
    yield from proportions()
    for kind in (means, differences, thresholds, runs_and_images):
        yield from kind(random, trials)


def table(rows):
    """The coverages as lines of Markdown: cases by numbers of images.

    Args:
        rows: List of dicts as `measured` yields them.

    Returns:
        List of strings. What is outside of 93 to 97 % is bold.
    """
    lines = ["| | interval | " + " | ".join(f"n = {n}" for n in SIZES) + " |"]
    lines.append("|---" * (2 + len(SIZES)) + "|")
    names = dict.fromkeys((r["kind"], r["case"], r["interval"]) for r in rows)
    for name in names:
        cells = []
        for count in SIZES:
            found = [
                r
                for r in rows
                if (r["kind"], r["case"], r["interval"]) == name and r["n"] == count
            ]
            cells.append(_cell(found[0]) if found else "")
        kind, case, interval = name
        lines.append(f"| {kind}: {case} | {interval} | {' | '.join(cells)} |")
    return lines


def _cell(found):
    coverage = f"{100 * found['coverage']:.1f}"
    if not ASKED[0] <= round(found["coverage"], 3) <= ASKED[1]:
        coverage = f"**{coverage}**"
    if found["bias"] == "":
        return coverage
    return f"{coverage} ({100 * found['bias']:+.1f})".replace("-", "−")


def main(argv):
    """Prints the table and writes all lines."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    rows = list(measured(_TRIALS.value, _SEED.value))
    print("\n".join(table(rows)))
    print(
        "\nPercent of samples whose interval holds the truth; in brackets the bias of"
    )
    print("the value in points. Bold: outside of 93 to 97 %.")
    if _OUTPUT.value:
        from keras_xcons.files import whole_file

        with whole_file(_OUTPUT.value) as unfinished:
            with open(unfinished, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    app.run(main)
