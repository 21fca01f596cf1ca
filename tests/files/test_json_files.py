import pytest

from keras_xcons.files import read_json, write_json


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "card.json"
    content = {"name": "résumé", "values": [1, 2.5, None, True]}
    write_json(path, content)
    assert read_json(path.read_bytes(), "The card") == content
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"value": float("nan")})
    assert read_json(path.read_text(encoding="utf-8"), "The card") == content


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "The card is not JSON"),
        ('{"a": 1, "a": 2}', r"the keys \['a'\] appear more than once"),
        ("NaN", "NaN is no JSON value"),
        ("1e999", "the number 1e999 is too large"),
        ("[" * 65 + "]" * 65, "nested too deeply"),
        ('"\\ud800"', "not JSON in UTF-8"),
        (b"\xff", "not JSON in UTF-8"),
    ],
)
def test_what_two_readers_could_take_for_two_things_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_json(text, "The card")
