import pytest

from keras_xcons.files import csv_cell


@pytest.mark.parametrize(
    "text",
    ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1"],
)
def test_no_text_of_a_table_is_a_formula(text):
    assert csv_cell(text) == f"'{text}"
    assert csv_cell(csv_cell(text)) == csv_cell(text)


@pytest.mark.parametrize("value", ["loss", "", "-0.5", "-inf", "+1e-3", -0.5, 3, None])
def test_numbers_and_other_texts_stay_as_they_are(value):
    assert csv_cell(value) is value
