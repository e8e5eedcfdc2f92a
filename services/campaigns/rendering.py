"""Texts with merge fields: checked once, compiled once, rendered for each recipient.

A field is `{{first_name}}` or `{{attributes.city|default}}`; `{{unsubscribe_link}}` places the way out, which is added
at the end where the text does not place it, and `{{offer_link}}` places the way to the reader's offer.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from astronote.campaigns.v1.automations_pb2 import Automation
from astronote.campaigns.v1.campaigns_pb2 import Campaign
from kit import gsm
from kit.rows import AnyRow
from services.campaigns import short_links
from services.campaigns.codes import PLACEHOLDER
from services.campaigns.errors import TextInvalid

TEXT_CHARACTERS_MAX = 1530
MERGE_FIELDS_MAX = 50
FIELDS = ("first_name", "last_name", "email", "language")
ATTRIBUTE = re.compile(r"attributes\.[\w \-]{1,50}")
UNSUBSCRIBE_LINK, OFFER_LINK = "unsubscribe_link", "offer_link"
# What stands between the address of the links and the code of a recipient.
LINK_PATHS = {UNSUBSCRIBE_LINK: "/u/", OFFER_LINK: "/o/"}
# What the contact speaks is asked with every text: the pages behind the links are in that language.
LANGUAGE = "language"
# In the place of a merchant's link; no merge field is called so.
_SHORT_LINK = " short link"
PATHS = {**LINK_PATHS, _SHORT_LINK: short_links.PATH}
_FIELD = re.compile(r"\{\{\s*([^{}|]*?)\s*(?:\|([^{}]*))?\}\}")
_UNSUBSCRIBE_SUFFIX = "\n{{" + UNSUBSCRIBE_LINK + "}}"
_OFFER_SUFFIX = "\n%s: {{" + OFFER_LINK + "}}"
_VIEW_OFFER = {"en": "View offer", "el": "Δείτε την προσφορά"}
_GREEK = re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")


@dataclass(frozen=True)
class Text:
    """A compiled text. `fields` are what its recipients' values have to be, in that order; links are not among them,
    and `language` always is.

    `render(values, code)` is the text of one recipient; an empty value takes the field's default, and every link ends
    in the code.
    """

    fields: tuple[str, ...]
    render: Callable[[Sequence[str], str], str]
    #: Of a campaign that tries several texts: each of them, this one first, and the campaign's id.
    variants: tuple[Callable[[Sequence[str], str], str], ...] = ()
    campaign_id: str = ""


def compile_text(
    text: str,
    base_url: str = "",
    *,
    with_offer: bool = False,
    track_links: bool = False,
    field: str = "text",
    fields: tuple[str, ...] = (),
) -> Text:
    """`base_url` is what the links begin with, `field` where the text stands in the request; with `track_links` the
    merchant's own links are short ones of ours. `fields`: in the place of its own, where it is one of several texts.

    Refuses `TextInvalid`, with what is wrong and, for an unknown merge field, what may have been meant.
    """
    if not text.strip() or len(text) > TEXT_CHARACTERS_MAX:
        raise TextInvalid(field=field, characters=len(text), characters_max=TEXT_CHARACTERS_MAX)
    literals, names, defaults = _parsed(_with_links(text, with_offer=with_offer))
    for name in names:
        _check(name, field)
    if any("{{" in literal or "}}" in literal for literal in literals):
        raise TextInvalid(field=field, braces="{{ and }} stand round a merge field only")
    if track_links:
        literals, names, defaults = _shortened(literals, names, defaults, field)
    literals = [
        literal + (base_url + PATHS[name] if name in PATHS else "")
        for literal, name in zip(literals, [*names, ""], strict=True)
    ]
    merged = {name: None for name in names if name not in PATHS}
    if len(merged) > MERGE_FIELDS_MAX:
        raise TextInvalid(field=field, merge_fields=len(merged), merge_fields_max=MERGE_FIELDS_MAX)
    fields = fields or tuple({**merged, LANGUAGE: None})
    return Text(fields, _renderer(literals, names, defaults, fields))


def campaign_text(campaign: Campaign | Automation | AnyRow, base_url: str, field: str = "campaign.text") -> Text:
    """What a campaign says, as it says it. Refuses what `compile_text` refuses."""
    return compile_text(
        campaign.text, base_url, with_offer=campaign.offer_link, track_links=campaign.track_links, field=field
    )


def experiment_text(campaign: Campaign | AnyRow, base_url: str) -> Text:
    """The text of a campaign with all of its variants. Refuses what `compile_text` refuses."""
    first = campaign_text(campaign, base_url)
    others = campaign.experiment.texts if campaign.experiment else ()
    if not others:
        return first
    sources = {"campaign.text": campaign.text}
    sources |= {f"campaign.experiment.texts[{index}]": other for index, other in enumerate(others)}

    def compiled(source: str, field: str, fields: tuple[str, ...] = ()) -> Text:
        with_offer, track_links = campaign.offer_link, campaign.track_links
        return compile_text(
            source, base_url, with_offer=with_offer, track_links=track_links, field=field, fields=fields
        )

    needed = {name: None for field, source in sources.items() for name in compiled(source, field).fields}
    fields = tuple(needed)
    renders = [compiled(source, field, fields).render for field, source in sources.items()]
    return Text(fields, renders[0], tuple(renders), str(campaign.id))


def tracked_links(text: str) -> list[str]:
    """The links that a text with `track_links` leads to, in the order of their numbers."""
    return [url for literal in _parsed(text)[0] for url in short_links.URL.findall(literal)]


def _parsed(text: str) -> tuple[list[str], list[str], list[str]]:
    """What stands round the merge fields, their names, and their defaults."""
    literals, names, defaults, end = [], [], [], 0
    for match in _FIELD.finditer(text):
        literals.append(text[end : match.start()])
        names.append(match[1])
        defaults.append(match[2] or "")
        end = match.end()
    return [*literals, text[end:]], names, defaults


def _shortened(
    literals: list[str], names: list[str], defaults: list[str], field: str
) -> tuple[list[str], list[str], list[str]]:
    """The same with a short link in the place of each link. Refuses `TextInvalid`."""
    parts: tuple[list[str], list[str], list[str]] = [], [], []
    number = 0
    for literal, name, default in zip(literals, [*names, ""], [*defaults, ""], strict=True):
        end, before = 0, ""
        for match in short_links.URL.finditer(literal):
            short_links.location(match[0], field)
            if name and not re.search(r"\s", literal[match.end() :]):
                raise TextInvalid(field=field, merge_field=name, link=match[0][:200], rule="counted as it stands only")
            number += 1
            for part, value in zip(parts, (before + literal[end : match.start()], _SHORT_LINK, ""), strict=True):
                part.append(value)
            end, before = match.end(), short_links.suffix(number)
        for part, value in zip(parts, (before + literal[end:], name, default), strict=True):
            part.append(value)
    if number > short_links.LINKS_MAX:
        raise TextInvalid(field=field, links=number, links_max=short_links.LINKS_MAX)
    return parts[0], parts[1][:-1], parts[2][:-1]


def places_offer(text: str) -> bool:
    return OFFER_LINK in _names(text)


def _with_links(text: str, *, with_offer: bool) -> str:
    """Adds the links that the text does not place itself."""
    if with_offer and not places_offer(text):
        text += _OFFER_SUFFIX % _view_offer(text)
    return text if UNSUBSCRIBE_LINK in _names(text) else text + _UNSUBSCRIBE_SUFFIX


def _view_offer(text: str) -> str:
    """In the text's own language, and in GSM-7 where the text is, so that the words never make it UCS-2."""
    words_only = _FIELD.sub("", text)
    view_offer = _VIEW_OFFER["el" if _GREEK.search(words_only) else "en"]
    return view_offer if gsm.ucs2_characters(words_only) else gsm.to_gsm(view_offer)


def _names(text: str) -> set[str]:
    return {match[1] for match in _FIELD.finditer(text)}


def _renderer(
    literals: list[str], names: list[str], defaults: list[str], fields: tuple[str, ...]
) -> Callable[[Sequence[str], str], str]:
    # A chain of literal, value, literal, …: `slots` says which value, -1 the code of a link.
    slots = [-1 if name in PATHS else fields.index(name) for name in names]
    chain = list(zip(slots, defaults, literals[1:], strict=True))
    head = literals[0]

    def render(values: Sequence[str], code: str) -> str:
        parts = [head]
        for slot, default, literal in chain:
            parts.append(code if slot < 0 else values[slot] or default)
            parts.append(literal)
        return "".join(parts)

    return render


def _check(name: str, field: str) -> None:
    known = [*FIELDS, *LINK_PATHS]
    if name in known or ATTRIBUTE.fullmatch(name):
        return
    raise TextInvalid(
        field=field, merge_field=name, known=",".join([*known, "attributes.<name>"]), suggestion=_meant(name, known)
    )


def _meant(name: str, known: Sequence[str]) -> str:
    """The field that may have been meant by an unknown one: one that is written much alike, or else an attribute."""
    plain = re.sub(r"[\s\-]+", "_", name).lower()
    if close := difflib.get_close_matches(plain, known, n=1, cutoff=0.6):
        return close[0]
    attribute = "attributes." + re.sub(r"^attributes?[._]?", "", name)
    return attribute if ATTRIBUTE.fullmatch(attribute) else ""


def sample_values(text: str, compiled: Text, values: Mapping[str, str]) -> list[str]:
    """Where there is no value, none for a field with a default, or else the field's own name."""
    with_default = {match[1] for match in _FIELD.finditer(text) if match[2]}
    return [values.get(name) or ("" if name in with_default else f"[{name}]") for name in compiled.fields]


def preview(text: str, values: Mapping[str, str], base_url: str) -> str:
    """Renders with the values that are given, and samples for the rest. Its links are as long as every other."""
    compiled = compile_text(text, base_url)
    return compiled.render(sample_values(text, compiled, values), PLACEHOLDER)
