"""Cells of CSV files that spreadsheets read as they are."""

# As spreadsheets begin a formula, also in wide letters and behind white space.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def csv_cell(value):
    """What a CSV file holds of a value, so that no spreadsheet takes it for a formula.

    Args:
        value: A number, a string or any other value.

    Returns:
        The value; but of a string that is no number and begins like a formula one with
        a quotation mark before it, which spreadsheets read as text.

    Example:

    >>> csv_cell("=1+1"), csv_cell(-0.5)
    ("'=1+1", -0.5)
    """
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
