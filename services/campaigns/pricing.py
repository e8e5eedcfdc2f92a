"""Rendering and counting a page of an audience: the one place where a text gets its price, for the quote and for the
hold alike.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from typing import TypeAlias

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.contacts.v1.contacts_pb2 import AudienceMember
from astronote.sender.v1.batches_pb2 import BatchRecipient
from kit import gsm
from services.campaigns import experiments
from services.campaigns.codes import PLACEHOLDER
from services.campaigns.rendering import LANGUAGE, Text

OnLongText: TypeAlias = pb.Campaign.OnLongText.ValueType
SAMPLE_SIZE = 5
# What values may make of a text; longer ones are skipped, and never cut.
SEGMENTS_MAX = 10
TOO_LONG, OPTED_OUT, START_MISSED = "text_too_long", "opted_out", "start_missed"
ENCODINGS = {gsm.Encoding.GSM_7: pb.Rendering.GSM_7, gsm.Encoding.UCS_2: pb.Rendering.UCS_2}


def recipients(
    text: Text, members: Iterable[AudienceMember], codes: Sequence[str], on_long_text: OnLongText = pb.Campaign.ALLOW
) -> list[BatchRecipient]:
    """The texts of a page, but for those that are too long; a segment costs one credit."""
    render, language_index, variants = text.render, text.fields.index(LANGUAGE), text.variants
    page, which = [], 0
    for member, code in zip(members, codes, strict=True):
        if variants:
            which = experiments.variant(text.campaign_id, member.contact_id, len(variants))
            render = variants[which]
        values = member.values
        rendered = render(values, code)
        segments = gsm.count(rendered)[1]
        if segments > 1:
            rendered, segments = _shortened(rendered, segments, on_long_text)
        if not segments:
            continue
        page.append(
            BatchRecipient(
                contact_id=member.contact_id,
                phone=member.phone,
                text=rendered,
                segments=segments,
                credits=segments,
                language=values[language_index],
                variant=which,
            )
        )
    return page


def _shortened(text: str, segments: int, on_long_text: OnLongText) -> tuple[str, int]:
    """A text of several segments as it goes out, and its segments; 0 where it does not."""
    if on_long_text == pb.Campaign.GSM:
        shorter = gsm.to_gsm(text)
        if (fewer := gsm.count(shorter)[1]) < segments:
            text, segments = shorter, fewer
    is_too_long = on_long_text == pb.Campaign.REFUSE or segments > SEGMENTS_MAX
    return text, 0 if is_too_long else segments


@dataclass
class Estimate:
    """What a quote adds up, page by page."""

    histogram: Counter[int] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    country_credits: Counter[str] = field(default_factory=Counter)
    dearest: list[BatchRecipient] = field(default_factory=list)
    too_long: int = 0
    held_out: int = 0

    def add(self, text: Text, members: Sequence[AudienceMember], on_long_text: OnLongText) -> None:
        """Renders and counts a page; about 10 µs a member."""
        # As long as every other code: what a quote counts is what is sent.
        page = recipients(text, members, [PLACEHOLDER] * len(members), on_long_text)
        self.too_long += len(members) - len(page)
        self.dearest = nlargest(SAMPLE_SIZE, [*self.dearest, *page], key=lambda recipient: recipient.credits)
        for recipient in page:
            code = calling_code(recipient.phone)
            self.histogram[recipient.segments] += 1
            self.countries[code] += 1
            self.country_credits[code] += recipient.credits

    def quote(self, balance: int, opted_out: int) -> pb.Quote:
        credits = sum(self.country_credits.values())
        skipped = {TOO_LONG: self.too_long, OPTED_OUT: opted_out, experiments.HELD_OUT: self.held_out}
        return pb.Quote(
            recipients=sum(self.histogram.values()),
            credits=credits,
            segments_histogram=dict(sorted(self.histogram.items())),
            by_country=[
                pb.CountryQuote(calling_code=code, recipients=count, credits=self.country_credits[code])
                for code, count in self.countries.most_common()
            ],
            skipped={reason: count for reason, count in skipped.items() if count},
            balance=balance,
            affordable=credits <= balance,
            sample=[pb.SampleText(to=dear.phone, rendering=rendering(dear.text)) for dear in self.dearest],
        )


def rendering(text: str) -> pb.Rendering:
    encoding, segments = gsm.count(text)
    return pb.Rendering(text=text, encoding=ENCODINGS[encoding], segments=segments, credits=segments)


def calling_code(phone: str) -> str:
    """`+30` of `+306912345678`: no calling code is the beginning of another (ITU-T E.164)."""
    for length in (2, 3, 4):
        if int(phone[1:length]) in COUNTRY_CODE_TO_REGION_CODE:
            return phone[:length]
    return ""
