"""Offers: what may be written in one, the code that is shown at the till, and whether it can still be redeemed."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from astronote.campaigns.v1.offers_pb2 import Offer, OfferTerms
from kit.errors import InvalidArgument
from kit.rows import AnyRow
from services.campaigns.errors import AlreadyRedeemed, CampaignInvalid, OfferExpired

TITLE_CHARACTERS_MAX = 80
TEXT_CHARACTERS_MAX = 600
# Figures alone: a cashier types them on any keypad, in whatever alphabet the keyboard is set to.
TILL_CODE_DIGITS = 9
# The year 9999: what comes after it in some time zone is no date any more.
EXPIRE_SECONDS_MAX = 253_370_764_800
# A code that the merchant has given out already is drawn again.
DRAWS_MAX = 20


def check(terms: OfferTerms, field: str = "campaign.offer", refusal: type[InvalidArgument] = CampaignInvalid) -> None:
    """Refuses `CampaignInvalid`, or what is named instead, with the field."""
    for name, characters_max in (("title", TITLE_CHARACTERS_MAX), ("text", TEXT_CHARACTERS_MAX)):
        if len(getattr(terms, name)) > characters_max:
            raise refusal(field=f"{field}.{name}", characters_max=characters_max)
    if not 0 <= terms.expire_time.seconds < EXPIRE_SECONDS_MAX:
        raise refusal(field=f"{field}.expire_time", rule="from 1970 to 9998; or left out")


def check_open(terms: OfferTerms | None, now: datetime) -> None:
    """Refuses `OfferExpired`."""
    if terms is not None and _is_over(terms, now):
        raise OfferExpired(field="offer.expire_time", expire_time=terms.expire_time.ToJsonString())


def check_redeemable(offer: Offer) -> None:
    """Refuses `AlreadyRedeemed`, `OfferExpired`."""
    if offer.state == Offer.REDEEMED:
        who = {"redeem_user_id": offer.redeem_user_id, "redeem_api_key_id": offer.redeem_api_key_id}
        named = {name: id for name, id in who.items() if id}
        raise AlreadyRedeemed(redeem_time=offer.redeem_time.ToJsonString(), **named)
    if offer.state == Offer.EXPIRED:
        raise OfferExpired(expire_time=offer.terms.expire_time.ToJsonString())


def shown(response: AnyRow, terms: OfferTerms | None, now: datetime) -> Offer:
    """The offer of one person."""
    offer = Offer(
        till_code=response.till_code,
        terms=terms or OfferTerms(),
        campaign_id=response.campaign_id,
        contact_id=response.contact_id or "",
        message_id=response.message_id,
        redeem_time=response.redeem_time,
        redeem_user_id=response.redeem_user_id,
        redeem_api_key_id=response.redeem_api_key_id,
        state=Offer.OPEN,
    )
    if response.redeem_time:
        offer.state = Offer.REDEEMED
    elif _is_over(offer.terms, now):
        offer.state = Offer.EXPIRED
    return offer


def till_codes(below: Callable[[int], int]) -> Iterator[str]:
    """Codes to choose from, drawn by `below`, which answers with a random number below its argument."""
    return (f"{below(10**TILL_CODE_DIGITS):0{TILL_CODE_DIGITS}d}" for _ in range(DRAWS_MAX))


def till_code(text: str) -> str:
    """The till code that was typed or scanned, with or without spaces; empty where it is none."""
    code = "".join(text.replace("-", " ").split())
    return code if len(code) == TILL_CODE_DIGITS and code.isascii() and code.isdigit() else ""


def _is_over(terms: OfferTerms, now: datetime) -> bool:
    return terms.HasField("expire_time") and terms.expire_time.ToDatetime(tzinfo=UTC) <= now
