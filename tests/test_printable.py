import pytest

from keras_xcons.printable import printable


@pytest.mark.parametrize(
    "text, shown",
    [
        ("star of 5 points", "star of 5 points"),
        ("\u00e9toile \u661f \U0001f600 \u0643\u0644\u0628", None),
        ("a\u3000b\u00a0c", None),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\x1b[2J\x1b[H", r"a\x1b[2J\x1b[H"),
        ("one\nkeras-xcons: all is well", r"one\nkeras-xcons: all is well"),
        ("a\r\tb\x7f\x00", r"a\r\tb\x7f\x00"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("a\u2028b\u2029c\u200bd\ufeff", r"a\u2028b\u2029c\u200bd\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_acts_is_shown_and_does_nothing(text, shown):
    shown = text if shown is None else shown
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode("utf-8")


def test_any_object_is_shown_in_one_line_of_bounded_length():
    assert printable(ValueError("a\nb")) == r"a\nb"
    for text in ("a" * 10_000, "\x1b" * 10_000):
        assert len(printable(text)) == 2000
        assert printable(text).endswith("...")
