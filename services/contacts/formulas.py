"""Cells that a spreadsheet would take for formulas, and the quote that keeps it from that."""

import re

FORMULA = re.compile(r"'*[=+\-@\t\r]")
DEFUSED = re.compile(r"'+[=+\-@\t\r]")


def defused(cell: str) -> str:
    return "'" + cell if FORMULA.match(cell) else cell


def restored(cell: str) -> str:
    """What `defused` was given."""
    return cell[1:] if cell[:1] == "'" and DEFUSED.match(cell) else cell
