"""What spreadsheets make of phone numbers: `3.06912345678E+11`, `306912345678.0`."""

import re

_SCIENTIFIC = re.compile(r"(\d)[.,](\d+)[Ee]\+?(\d{1,2})")
_DECIMAL = re.compile(r"(\d{5,})[.,]0+")


class Rounded(ValueError):
    """The last digits of the number are lost."""


def restored(cell: str) -> str:
    """The number as it was; any other cell as it is. Raises `Rounded` rather than guess: zeros instead of the digits
    that are lost would be somebody else's phone.
    """
    if "." not in cell and "," not in cell:
        return cell
    if found := _SCIENTIFIC.fullmatch(cell.strip()):
        digits, exponent = found[1] + found[2], int(found[3])
        if len(digits) != exponent + 1:
            raise Rounded(cell)
        return digits
    found = _DECIMAL.fullmatch(cell.strip())
    return found[1] if found else cell
