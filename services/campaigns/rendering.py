"""Texts with merge fields: checked once, compiled once, rendered for each recipient.

A field is `{{first_name}}` or `{{attributes.city|default}}`; `{{unsubscribe_link}}` places the way out, which is added
at the end where the text does not place it.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.campaigns.errors import TextInvalid

TEXT_CHARACTERS_MAX = 1530
MERGE_FIELDS_MAX = 50
FIELDS = ("first_name", "last_name", "email", "language")
ATTRIBUTE = re.compile(r"attributes\.[\w \-]{1,50}")
UNSUBSCRIBE_LINK = "unsubscribe_link"
_FIELD = re.compile(r"\{\{\s*([^{}|]*?)\s*(?:\|([^{}]*))?\}\}")
_SUFFIX = "\n{{" + UNSUBSCRIBE_LINK + "}}"


@dataclass(frozen=True)
class Text:
    """A compiled text. `fields` are what its recipients' values have to be, in that order; the link is not among them.

    `render(values, link)` is the text of one recipient; an empty value takes the field's default.
    """

    fields: tuple[str, ...]
    render: Callable[[Sequence[str], str], str]


def compile_text(text: str, field: str = "text") -> Text:
    """`field` is where the text stands in the request.

    Refuses `TextInvalid`, with what is wrong and, for an unknown merge field, what may have been meant.
    """
    if not text.strip() or len(text) > TEXT_CHARACTERS_MAX:
        raise TextInvalid(field=field, characters=len(text), characters_max=TEXT_CHARACTERS_MAX)
    if UNSUBSCRIBE_LINK not in {match[1] for match in _FIELD.finditer(text)}:
        text += _SUFFIX
    literals, names, defaults, end = [], [], [], 0
    for match in _FIELD.finditer(text):
        _check(match[1], field)
        literals.append(text[end : match.start()])
        names.append(match[1])
        defaults.append(match[2] or "")
        end = match.end()
    literals.append(text[end:])
    if any("{{" in literal or "}}" in literal for literal in literals):
        raise TextInvalid(field=field, braces="{{ and }} stand round a merge field only")
    fields = tuple(dict.fromkeys(name for name in names if name != UNSUBSCRIBE_LINK))
    if len(fields) > MERGE_FIELDS_MAX:
        raise TextInvalid(field=field, merge_fields=len(fields), merge_fields_max=MERGE_FIELDS_MAX)
    return Text(fields, _renderer(literals, names, defaults, fields))


def _renderer(
    literals: list[str], names: list[str], defaults: list[str], fields: tuple[str, ...]
) -> Callable[[Sequence[str], str], str]:
    # A chain of literal, value, literal, …: `slots` says which value, -1 the link.
    slots = [fields.index(name) if name != UNSUBSCRIBE_LINK else -1 for name in names]
    chain = list(zip(slots, defaults, literals[1:], strict=True))
    head = literals[0]

    def render(values: Sequence[str], link: str) -> str:
        parts = [head]
        for slot, default, literal in chain:
            parts.append(link if slot < 0 else values[slot] or default)
            parts.append(literal)
        return "".join(parts)

    return render


def _check(name: str, field: str) -> None:
    if name in FIELDS or name == UNSUBSCRIBE_LINK or ATTRIBUTE.fullmatch(name):
        return
    known = [*FIELDS, UNSUBSCRIBE_LINK]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    raise TextInvalid(
        field=field, merge_field=name, known=",".join([*known, "attributes.<name>"]), suggestion="".join(close)
    )


def preview(text: str, values: Mapping[str, str], link: str) -> str:
    """Renders with the values that are given; where there is none, the default, or else the field's own name."""
    with_default = {match[1] for match in _FIELD.finditer(text) if match[2]}
    compiled = compile_text(text)
    shown = [values.get(name) or ("" if name in with_default else f"[{name}]") for name in compiled.fields]
    return compiled.render(shown, link)
