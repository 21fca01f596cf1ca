"""Which heatmaps of an evaluation are moved by their offset, and which are not."""

import dataclasses

from keras_xcons import explainers
from keras_xcons.models.frame import WHOLE
from keras_xcons.models.offset import is_outdated


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Where the heatmaps of one model are laid.

    Attributes:
        name: Name of the model.
        offset: How far they are moved, `(rows, columns)` in pixels.
        moved: Whether they are moved, be it by nothing; `None` where there is nothing
            to move, as maps of pixels lie where they are.
        unknown: Whether they are not moved as nobody has measured their offset.
        outdated: Whether the model's weights have changed since it was measured.
    """

    name: str
    offset: tuple[float, float]
    moved: bool | None
    unknown: bool
    outdated: bool


def alignment(name, view, options, facts):
    """Where the heatmaps of a model are laid in an evaluation.

    Args:
        name: Name of the model.
        view: Its `ClassifierView`.
        options: `EvaluationOptions`.
        facts: `DataFacts`.

    Returns:
        An `Alignment`.
    """
    frame = explainers.moved_frame_of(view, options.explainer, facts.multi_label)
    of_pixels = frame is WHOLE
    moved = view.alignment is not None
    return Alignment(
        name=name,
        offset=frame.offset(facts.image_size),
        moved=None if of_pixels else moved,
        unknown=not of_pixels and not moved and view.asked.align is True,
        outdated=not of_pixels
        and view.asked.align is True
        and is_outdated(view.model, view.feature_layer),
    )


def unaligned(alignments):
    """The models whose maps are not moved, where those of others are.

    Args:
        alignments: Sequence of `Alignment`.

    Returns:
        List of names, empty where all maps are laid in the same way.
    """
    if not any(each.moved for each in alignments):
        return []
    return [each.name for each in alignments if each.moved is False]


def described(alignments):
    """How far the heatmaps of each model are moved, in words.

    Args:
        alignments: Sequence of `Alignment`.

    Returns:
        A clause.
    """
    if all(each.moved is None for each in alignments):
        return "of the pixels themselves"
    if not any(each.moved for each in alignments):
        if not any(each.unknown for each in alignments):
            return "as they are (align=False)"
        whose = "its offset was" if len(alignments) == 1 else "their offsets were"
        return f"not moved, {whose} never measured"
    single = len(alignments) == 1
    told = ["" if single else f"{each.name} " for each in alignments]
    parts = [n + _moved(each) for n, each in zip(told, alignments, strict=True)]
    return f"moved (down, right): {'; '.join(parts)}"


def _moved(each):
    if each.moved:
        down, right = each.offset
        return f"{down:+.1f}, {right:+.1f} px".replace("-", "\N{MINUS SIGN}")
    return "not, its offset was never measured" if each.unknown else "as it is"


def outdated_note(alignments):
    """What a reader has to know where weights have changed since a calibration.

    Args:
        alignments: Sequence of `Alignment`.

    Returns:
        A sentence or two, or `None`.
    """
    names = ", ".join(each.name for each in alignments if each.outdated)
    if not names:
        return None
    return (
        f"The weights of {names} have changed since the offset of the heatmaps was "
        "measured, and training moves it: call kx.calibrate again."
    )


def note(alignments):
    """What a reader has to know where some maps are moved and others are not.

    Args:
        alignments: Sequence of `Alignment`.

    Returns:
        A sentence or two, or `None`.
    """
    still = unaligned(alignments)
    if not still:
        return None
    moved = ", ".join(each.name for each in alignments if each.moved)
    unknown = any(each.unknown for each in alignments)
    why = ", as nobody has measured it" if unknown else ""
    # A view that was made with an alignment of its own keeps it.
    what = "Call kx.calibrate of each" if unknown else "Align all alike"
    return (
        f"The heatmaps of {moved} are moved by their offset, those of "
        f"{', '.join(still)} are not{why}: figures that depend on where maps lie are "
        "not comparable; those of the maps that are not moved are flagged and have no "
        f"verdict. {what}, or evaluate all with align=False."
    )
