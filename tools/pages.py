"""Parts of pages that tools write, between two marks each."""

import re


def renewed(page, start, end, lines):
    """A page with new lines in each place between two marks.

    Args:
        page: Text.
        start: Pattern of the mark that begins a place, of one line.
        end: The mark that ends it.
        lines: Callable that makes the new lines, a list of strings, of the
            `re.Match` of `start`; `None` leaves a place as it is.

    Returns:
        The new text.

    Raises:
        ValueError: There is no place, or a mark without the other.
    """
    places = re.compile(f"(?P<start>{start}).*?{re.escape(end)}", re.DOTALL)
    marks = [len(re.findall(mark, page)) for mark in (start, re.escape(end))]
    if not marks[0] or {len(places.findall(page))} != set(marks):
        raise ValueError(
            f"The page must hold the marks {start!r} and {end!r}, in pairs. Received: "
            f"{marks[0]} and {marks[1]} of them"
        )

    def renew(place):
        new = lines(re.fullmatch(start, place["start"]))
        if new is None:
            return place[0]
        return "\n".join([place["start"], "", *new, "", end])

    return places.sub(renew, page)
