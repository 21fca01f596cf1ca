r"""Tables and plots of the runs that `tools/evidence.py` has recorded.

    python tools/evidence_tables.py
    python tools/evidence_tables.py --rows=rows.csv

Written to `tools/results/evidence`: `runs.csv`, the figures of each run; `tables.md`,
each arm's difference to plain training of the same seeds, with a 95 % interval over
seeds and images together (`keras_xcons.evaluation.across_runs`; of one seed the
interval is over images alone); a plot of each set. `--rows` writes the figures of every
image of every run, one line each. Arms are compared over the seeds that plain has, too.

It rewrites pages of the checkout, too: in README.md and docs/xcons.md a table stands
behind each comment that names a set and arms, `<!-- evidence: cub mild light -->`, up
to `<!-- end of evidence -->`, and is renewed.
"""

import csv
import os
import pathlib
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from evidence_arms import ARMS, FIGURES, RESULTS, RULE, SETS
from evidence_plots import plot
from pages import renewed

_ROWS = flags.DEFINE_string(
    "rows", None, "CSV file to write the figures of images into."
)

# What the rule adds up.
_SCORED = (
    ("energy_pointing_game",),
    ("fgsm_background_accuracy", "pgd_background_accuracy"),
)
_ROOT = pathlib.Path(__file__).parents[1]
PAGES = (_ROOT / "README.md", _ROOT / "docs" / "xcons.md")
START, END = r"<!-- evidence: ([\w ]+) -->", "<!-- end of evidence -->"


def recorded(name):
    """What is recorded of a set: dict from arm to dict from seed to arrays and cost."""
    found, first = {}, None
    for path in sorted((RESULTS / name).glob("*.npz")):
        arm, _, seed = path.stem.rpartition("_")
        if arm not in ARMS or not seed.isdecimal():
            raise SystemExit(f"{path} is no record of an arm and a seed: move it away")
        try:
            with path.open("rb") as file:
                rows = dict(np.load(file))
            cost = rows.pop("cost")
        except (KeyError, OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise SystemExit(f"{path} is damaged: remove it, run it again") from error
        shapes = {key: value.shape for key, value in rows.items()}
        first = first or (path, shapes)
        if shapes != first[1]:
            raise SystemExit(
                f"{path} and {first[0]} have other figures or images: remove the older "
                "one, and run it again"
            )
        rows = {key: value.astype("float32") for key, value in rows.items()}
        if "mixed_same/accuracy" in rows:
            # The two splits have the same objects in the same order.
            gap = rows["mixed_same/accuracy"] - rows["mixed_rand/accuracy"]
            rows["mixed_rand/bg_gap"] = gap
        found.setdefault(arm, {})[int(seed)] = rows, cost
    if found and "plain" not in found:
        raise SystemExit(f"{RESULTS / name} has no run of plain to compare with")
    return {arm: found[arm] for arm in ARMS if arm in found}


def figure(key, runs, base=None):
    """A figure of several runs, or its difference to those of another arm."""
    from keras_xcons import evaluation

    name = key.partition("/")[2]
    if name == "bg_gap":
        how = {"limits": (-1.0, 1.0)}
    else:
        metric = evaluation.METRICS[name]
        how = {"statistic": metric.statistic, "limits": metric.range}
    if len(runs) > 1:
        return evaluation.across_runs(runs, *(() if base is None else (base,)), **how)
    if base is None:
        return evaluation.summarize(runs[0], **how)
    return evaluation.compare(runs[0], base[0], **how)


def compared(found):
    """The differences of every arm to plain.

    Args:
        found: What `recorded` returns.

    Returns:
        Dict from arm to a dict of `"seeds"`, `"time"` (a ratio) and a summary of each
        figure, of plain itself not a difference.
    """
    plain = found["plain"]
    keys = list(next(iter(plain.values()))[0])
    told = {}
    for arm, runs in found.items():
        seeds = sorted(runs.keys() & plain.keys())
        if not seeds:
            continue
        # Seconds of all cores: other programs have no part in them.
        times = [runs[seed][1][1] / plain[seed][1][1] for seed in seeds]
        told[arm] = {"seeds": len(seeds), "time": float(np.median(times))}
        for key in keys:
            own, base = ([one[seed][0][key] for seed in seeds] for one in (runs, plain))
            told[arm][key] = figure(key, own, None if arm == "plain" else base)
    return told


def table(told):
    """Lines of Markdown of what `compared` returns."""
    keys = [key for key in told["plain"] if "/" in key]
    head = ["arm", "seeds", "time", *(key.replace("/", ", ") for key in keys)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for arm, figures in told.items():
        cells = [arm, str(figures["seeds"]), f"{figures['time']:.1f}×"]
        cells += [_cell(arm, figures[key]) for key in keys]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def verdict(told):
    """Lines of Markdown: what `RULE` says of the arms of XCons.

    Args:
        told: Dict from set to what `compared` returns.

    Returns:
        List of strings; of arms that every set with arms of XCons has.
    """
    ours = [arm for arm in ARMS if ARMS[arm][1] == "xcons"]
    # A set with plain training alone compares nothing.
    told = {name: one for name, one in told.items() if one.keys() & set(ours)}
    arms = [arm for arm in ours if told and all(arm in one for one in told.values())]
    if not arms:
        return [RULE, "", "No arm is recorded on every set."]
    lines = [RULE, "", "| arm | below plain in | score |", "|---|---|---|"]
    scores = dict.fromkeys(arms, 0.0)
    below = {arm: [] for arm in arms}
    for name, figures in told.items():
        keys = [key for key in figures["plain"] if "/" in key]
        for key in keys:
            if key.partition("/")[2] in ("accuracy", "pointing_game"):
                for arm in arms:
                    if figures[arm][key]["high"] < 0.0:
                        below[arm].append(f"{name}: {key}")
        # One gain in each of them a set, however many splits or attacks it has.
        for scored in _SCORED:
            of_it = [key for key in keys if key.partition("/")[2] in scored]
            if of_it:
                gains = np.array(
                    [[figures[arm][key]["value"] for key in of_it] for arm in arms]
                ).mean(axis=1)
                gains = (gains - gains.mean()) / max(gains.std(), 1e-9)
                for arm, gain in zip(arms, gains, strict=True):
                    scores[arm] += float(gain)
    for arm in sorted(arms, key=scores.get, reverse=True):
        where = ", ".join(below[arm]) or "nothing"
        lines.append(f"| {ARMS[arm][0]} | {where} | {scores[arm]:.1f} |")
    return lines


def _cell(arm, figure):
    value, low, high = (100 * figure[end] for end in ("value", "low", "high"))
    if arm == "plain":
        return f"{value:.1f}"
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")


def page_table(told, arms):
    """Lines of Markdown for a page: a line each figure, a column each of these arms."""
    arms = ["plain", *arms]
    lines = ["| | " + " | ".join(ARMS[arm][0] for arm in arms) + " |"]
    lines.append("|---" * (len(arms) + 1) + "|")
    for name, form in (("seeds", "{}"), ("time", "{:.1f}×")):
        cells = [form.format(told[arm][name]) for arm in arms]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    keys = [key for key in told["plain"] if "/" in key]
    splits = {key.partition("/")[0] for key in keys}
    for key in keys:
        split, _, name = key.partition("/")
        title = FIGURES[name]
        if len(splits) > 1 and name != "bg_gap":
            title += f", {split.replace('_', '-')}"
        cells = [_cell(arm, told[arm][key]) for arm in arms]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def renew(page, told):
    """A page with its tables renewed, see the top of this file.

    Args:
        page: String.
        told: Dict from set to what `compared` returns.

    Returns:
        String. A table of which not every arm is recorded is left as it is.
    """

    def lines(place):
        name, *arms = place[1].split()
        if not {name} <= told.keys() or not set(arms) <= told[name].keys():
            return None
        return page_table(told[name], arms)

    return renewed(page, START, END, lines)


def write_runs(sets):
    """Writes `runs.csv`, a line each run."""
    lines = []
    for name, found in sets.items():
        for arm, runs in found.items():
            for seed, (rows, cost) in runs.items():
                line = {"set": name, "arm": arm, "seed": seed}
                line |= {"seconds": round(cost[0]), "core_seconds": round(cost[1])}
                for key, values in rows.items():
                    line[key] = round(figure(key, [values])["value"], 4)
                lines.append(line)
    columns = dict.fromkeys(key for line in lines for key in line)
    with (RESULTS / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(lines)


def write_rows(sets, path):
    """Writes a line each run, image and figure that is one number an image."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "arm", "seed", "split", "figure", "image", "value"])
        for name, found in sets.items():
            for arm, runs in found.items():
                for seed, (rows, _) in runs.items():
                    for key, values in rows.items():
                        if values.ndim == 1:
                            start = [name, arm, seed, *key.split("/")]
                            for image, value in enumerate(values):
                                writer.writerow([*start, image, f"{value:.5g}"])


def main(argv):
    """Writes what the flags say."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    sets = {name: recorded(name) for name in SETS}
    sets = {name: found for name, found in sets.items() if found}
    lines = ["<!-- Written by tools/evidence_tables.py. -->", ""]
    told = {name: compared(found) for name, found in sets.items()}
    write_runs(sets)
    if _ROWS.value:
        write_rows(sets, _ROWS.value)
    for name, figures in told.items():
        lines += [f"## {name}", "", *table(figures), ""]
        if len(figures) > 1:
            plot(name, figures)
    lines += ["## The rule", "", *verdict(told), ""]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(renew(text, told), encoding="utf-8")
    text = "\n".join(lines)
    (RESULTS / "tables.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    app.run(main)
