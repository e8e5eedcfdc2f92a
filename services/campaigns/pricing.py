"""Rendering and counting a page of an audience: the one place where a text gets its price, for the quote and for the
hold alike.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.contacts.v1.contacts_pb2 import AudienceMember
from astronote.sender.v1.batches_pb2 import BatchRecipient
from kit import gsm
from services.campaigns.rendering import LANGUAGE, Text

SAMPLE_SIZE = 5
# What values may make of a text; longer ones are skipped, and never cut.
SEGMENTS_MAX = 10
TOO_LONG = "text_too_long"
ENCODINGS = {gsm.Encoding.GSM_7: pb.Rendering.GSM_7, gsm.Encoding.UCS_2: pb.Rendering.UCS_2}


def recipients(text: Text, members: Iterable[AudienceMember], codes: Sequence[str]) -> list[BatchRecipient]:
    """The texts of a page, but for those of more than `SEGMENTS_MAX` segments; a segment costs one credit."""
    render, count, language_index = text.render, gsm.count, text.fields.index(LANGUAGE)
    page = []
    for member, code in zip(members, codes, strict=True):
        rendered = render(member.values, code)
        segments = count(rendered)[1]
        if segments > SEGMENTS_MAX:
            continue
        page.append(
            BatchRecipient(
                contact_id=member.contact_id,
                phone=member.phone,
                text=rendered,
                segments=segments,
                credits=segments,
                language=member.values[language_index],
            )
        )
    return page


@dataclass
class Estimate:
    """What a quote adds up, page by page."""

    histogram: Counter[int] = field(default_factory=Counter)
    countries: Counter[str] = field(default_factory=Counter)
    country_credits: Counter[str] = field(default_factory=Counter)
    sample: list[pb.SampleText] = field(default_factory=list)
    too_long: int = 0

    def add(self, page: list[BatchRecipient], members: int) -> None:
        """Of so many `members`, those in the page have a text that can be sent."""
        self.too_long += members - len(page)
        for recipient in page:
            code = calling_code(recipient.phone)
            self.histogram[recipient.segments] += 1
            self.countries[code] += 1
            self.country_credits[code] += recipient.credits
        for recipient in page[: SAMPLE_SIZE - len(self.sample)]:
            self.sample.append(pb.SampleText(to=recipient.phone, rendering=rendering(recipient.text)))

    def quote(self, balance: int) -> pb.Quote:
        credits = sum(self.country_credits.values())
        return pb.Quote(
            recipients=sum(self.histogram.values()),
            credits=credits,
            segments_histogram=dict(sorted(self.histogram.items())),
            by_country=[
                pb.CountryQuote(calling_code=code, recipients=count, credits=self.country_credits[code])
                for code, count in self.countries.most_common()
            ],
            skipped={TOO_LONG: self.too_long} if self.too_long else {},
            balance=balance,
            affordable=credits <= balance,
            sample=self.sample,
        )


def rendering(text: str) -> pb.Rendering:
    encoding, segments = gsm.count(text)
    return pb.Rendering(text=text, encoding=ENCODINGS[encoding], segments=segments)


def calling_code(phone: str) -> str:
    """`+30` of `+306912345678`: no calling code is the beginning of another (ITU-T E.164)."""
    for length in (2, 3, 4):
        if int(phone[1:length]) in COUNTRY_CODE_TO_REGION_CODE:
            return phone[:length]
    return ""
