"""What texts cost, for a quote and for a hold alike, without a database."""

import pytest

from astronote.campaigns.v1.campaigns_pb2 import Campaign, Rendering
from astronote.contacts.v1.contacts_pb2 import AudienceMember
from services.campaigns import pricing
from services.campaigns.rendering import compile_text

TEXT = compile_text("Γεια {{first_name}} {{unsubscribe_link}}", "http://x.gr")


def member(phone: str, name: str) -> AudienceMember:
    return AudienceMember(phone=phone, values=[name, "el"])


def test_a_quote_counts_each_text_and_shows_the_dearest() -> None:
    estimate = pricing.Estimate()
    pages = [
        [member("+306900000001", "Μαρία"), member("+3906123456", "α" * 70), member("+12025550123", "")],
        [member("+306900000002", "α" * 700), member("+306900000003", "α" * 110)],
    ]
    for page in pages:
        estimate.add(TEXT, page, Campaign.ALLOW)
    quote = estimate.quote(balance=3, opted_out=2)
    assert (quote.recipients, quote.credits, quote.affordable) == (4, 7, False)
    assert dict(quote.skipped) == {"text_too_long": 1, "opted_out": 2}
    assert dict(quote.segments_histogram) == {1: 2, 2: 1, 3: 1}
    assert [(each.calling_code, each.credits) for each in quote.by_country] == [("+30", 4), ("+39", 2), ("+1", 1)]
    assert [text.rendering.credits for text in quote.sample] == [3, 2, 1, 1]
    assert quote.sample[2].rendering.text == "Γεια Μαρία http://x.gr/u/00000000000"


def test_a_quote_of_many_shows_a_few() -> None:
    estimate = pricing.Estimate()
    for page in range(3):
        members = [member(f"+30690000{page}{number:03d}", "α" * number) for number in range(100)]
        estimate.add(TEXT, members, Campaign.ALLOW)
    quote = estimate.quote(balance=0, opted_out=0)
    assert quote.recipients == 300
    assert [text.rendering.segments for text in quote.sample] == [max(quote.segments_histogram)] * 5


@pytest.mark.parametrize(
    ("on_long_text", "name", "segments", "encoding"),
    [
        (Campaign.ALLOW, "Μαρία", 1, Rendering.UCS_2),
        (Campaign.GSM, "Μαρία", 1, Rendering.UCS_2),
        (Campaign.REFUSE, "Μαρία", 1, Rendering.UCS_2),
        (Campaign.ALLOW, "ά" * 60, 2, Rendering.UCS_2),
        (Campaign.GSM, "ά" * 60, 1, Rendering.GSM_7),
        (Campaign.REFUSE, "ά" * 60, 0, None),
        # What has no likeness in GSM-7 gets no cheaper, and stays as it was written.
        (Campaign.GSM, "ά" * 60 + "😀", 2, Rendering.UCS_2),
        # Capitals make it one that can be sent.
        (Campaign.ALLOW, "ά" * 700, 0, None),
        (Campaign.GSM, "ά" * 700, 5, Rendering.GSM_7),
        (Campaign.GSM, "ά" * 1600, 0, None),
    ],
)
def test_long_texts_are_allowed_converted_or_refused(
    on_long_text: Campaign.OnLongText.ValueType, name: str, segments: int, encoding: Rendering.Encoding.ValueType | None
) -> None:
    found = pricing.recipients(TEXT, [member("+306900000001", name)], ["A1b2C3d4E5f"], on_long_text)
    assert [each.segments for each in found] == ([segments] if segments else [])
    for recipient in found:
        assert recipient.text.endswith("http://x.gr/u/A1b2C3d4E5f"), "links stay as they are"
        assert pricing.rendering(recipient.text).encoding == encoding
        assert recipient.credits == recipient.segments == pricing.rendering(recipient.text).segments
