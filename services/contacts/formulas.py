"""Cells that a spreadsheet would take for formulas, or that we would take for its errors, and the quote that keeps
either from that.
"""

import re

# What a spreadsheet shows where a formula failed; nobody's name.
ERRORS = frozenset(["#N/A", "#VALUE!", "#REF!", "#DIV/0!", "#NUM!", "#NAME?", "#NULL!", "#SPILL!", "#CALC!"])
MEANT = rf"[=+\-@\t\r]|(?:{'|'.join(map(re.escape, sorted(ERRORS)))})$"
FORMULA = re.compile(rf"'*(?:{MEANT})")
DEFUSED = re.compile(rf"'+(?:{MEANT})")


def defused(cell: str) -> str:
    return "'" + cell if FORMULA.match(cell) else cell


def restored(cell: str) -> str:
    """What `defused` was given."""
    return cell[1:] if cell[:1] == "'" and DEFUSED.match(cell) else cell
