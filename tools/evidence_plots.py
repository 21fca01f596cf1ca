"""The plot of a set of `tools/evidence.py`: what each arm differs by from plain."""

import numpy as np
from evidence_arms import ARMS, FIGURES, RESULTS

# What is plotted, in this order.
_PLOTTED = (
    *("accuracy", "pointing_game", "energy_pointing_game", "max_box_acc_v2"),
    *("fgsm_background_accuracy", "explanation_consistency", "bg_gap"),
)
_IN_A_ROW = 4
_CLEAR, _UNCLEAR = "#1f5fa8", "#9a9a9a"


def plot(name, told):
    """Writes a picture of the differences of a set to plain."""
    from matplotlib.figure import Figure

    arms = [arm for arm in told if arm != "plain"]
    first = [key for key in told["plain"] if key.partition("/")[2] in _PLOTTED]
    last = first[-1].partition("/")[0] if first else ""
    # A set with mixed backgrounds is read off at both ends.
    keys = [
        key
        for key in first
        if key.partition("/")[0] in (first[0].partition("/")[0], last)
    ]
    columns = min(_IN_A_ROW, len(keys))
    rows = -(-len(keys) // columns)
    size = 2.1 * columns + 1.6, rows * (0.26 * len(arms) + 0.8) + 0.4
    picture = Figure(figsize=size)
    axes = list(picture.subplots(rows, columns, sharey=True, squeeze=False).flat)
    places = np.arange(len(arms))[::-1]
    for axis in axes[len(keys) :]:
        axis.remove()
    for axis, key in zip(axes, keys, strict=False):
        values, lows, highs = (
            np.array([100 * told[arm][key][end] for arm in arms])
            for end in ("value", "low", "high")
        )
        clear = (lows > 0) | (highs < 0)
        alone = np.array([told[arm]["seeds"] == 1 for arm in arms])
        ends = [values - lows, highs - values]
        for kept, colour, filled in (
            (clear & ~alone, _CLEAR, True),
            (~clear & ~alone, _UNCLEAR, True),
            (clear & alone, _CLEAR, False),
            (~clear & alone, _UNCLEAR, False),
        ):
            # An interval of one seed is over images alone, and says nothing of others.
            axis.errorbar(
                values[kept],
                places[kept],
                xerr=[np.maximum(one[kept], 0.0) for one in ends],
                fmt="o",
                markersize=4,
                color=colour,
                markerfacecolor=colour if filled else "white",
                elinewidth=1.5 if filled else 0.8,
            )
        axis.axvline(0.0, color="black", linewidth=0.8)
        split, _, figure_name = key.partition("/")
        where = "" if split == "test" else f"\n{split}"
        axis.set_title(FIGURES[figure_name] + where, fontsize=9)
        axis.set_yticks(places, [_labelled(arm, told[arm]["seeds"]) for arm in arms])
        axis.set_ylim(-0.6, len(arms) - 0.4)
        axis.tick_params(labelsize=8, left=False)
        axis.spines[["top", "right", "left"]].set_visible(False)
    told_below = "points against plain training, 95 %"
    if any(told[arm]["seeds"] == 1 for arm in arms):
        told_below += "; hollow: of one seed, over its images alone"
    picture.supxlabel(told_below, fontsize=9)
    picture.tight_layout()
    picture.savefig(RESULTS / f"{name}.png", dpi=110)


def _labelled(arm, seeds):
    return f"{ARMS[arm][0]}, {seeds} seed{'s' if seeds > 1 else ''}"
