"""Formats of a card, and what one of an earlier format says in the present one."""

FORMAT = 2


def of_format_1(card, source):
    """What a card of format 1 says, in the fields of this one.

    That format had no `explainer`, and in `logits_check` the logits alone.

    Args:
        card: What the JSON text held.
        source: Where it is from, a path or URL, for the error messages.

    Returns:
        The card of this format, its heatmap `None`; what is no card of format 1, as
        it was.

    Raises:
        ValueError: It is one with fields of a later format, or without its own.

    Example:

    >>> of_format_1({"format": 1, "logits_check": {"logits": [0.5]}}, "card.json")
    {'format': 2, 'check': {'logits': [0.5], 'heatmap': None}, 'explainer': 'gradcam++'}
    """
    if not isinstance(card, dict) or type(card.get("format")) is not int:
        return card
    if card["format"] != 1:
        return card
    later = sorted({"check", "explainer"} & card.keys())
    if later:
        raise ValueError(
            f"The card {source} is of format 1 and has fields that came with format 2: "
            f"{later}"
        )
    if "logits_check" not in card:
        raise ValueError(f"The card {source} lacks the fields ['logits_check']")
    rest = {name: value for name, value in card.items() if name != "logits_check"}
    told = card["logits_check"]
    if isinstance(told, dict) and told.keys() == {"logits"}:
        told = {**told, "heatmap": None}
    # What is wrong with it is told of the present format.
    return {**rest, "format": FORMAT, "check": told, "explainer": "gradcam++"}
