"""What a merchant may say of itself."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from zoneinfo import available_timezones

from phonenumbers import SUPPORTED_REGIONS
from phonenumbers.tzdata import TIMEZONE_DATA

from astronote.accounts.v1.accounts_pb2 import FrequencyCap, Merchant, QuietHours
from kit.errors import DomainError
from services.accounts.errors import (
    CompanyInvalid,
    CountryInvalid,
    FrequencyCapInvalid,
    PublicBaseUrlInvalid,
    QuietHoursInvalid,
    SenderNameInvalid,
    TimeZoneInvalid,
)

COMPANY_LENGTH_MAX = 200
URL_LENGTH_MAX = 200
DEFAULT_TIME_ZONE, DEFAULT_COUNTRY = "Europe/Athens", "GR"
_SENDER_NAME = re.compile(r"[A-Za-z0-9]{3,11}|\+[1-9][0-9]{7,14}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
# A link without TLS is for one's own machine.
_URL = re.compile(
    r"(https://([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?|http://(localhost|127\.0\.0\.1))"
    r"(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*"
)


def check(merchant: Merchant, names: Iterable[str], prefix: str = "") -> None:
    """Brings these fields into their normal form. Refuses what is wrong with the first that has no such form; `prefix`
    is where the merchant stands in the request.
    """
    for name in names:
        normal, is_valid, refusal = CHECKS[name]
        normal(merchant)
        if not is_valid(merchant):
            raise refusal(field=prefix + name)


def _company(merchant: Merchant) -> None:
    merchant.company = " ".join(merchant.company.split())


def _country(merchant: Merchant) -> None:
    merchant.country = merchant.country.upper()


def _quiet_hours(merchant: Merchant) -> None:
    if merchant.quiet_hours == QuietHours():
        merchant.ClearField("quiet_hours")


def _frequency_cap(merchant: Merchant) -> None:
    if merchant.frequency_cap == FrequencyCap():
        merchant.ClearField("frequency_cap")


def _as_it_is(_: Merchant) -> None: ...


def _has_company(merchant: Merchant) -> bool:
    company = merchant.company
    return 1 <= len(company) <= COMPANY_LENGTH_MAX and "Cc" not in map(unicodedata.category, company)


def _has_quiet_hours(merchant: Merchant) -> bool:
    hours = merchant.quiet_hours
    if not merchant.HasField("quiet_hours"):
        return True
    return bool(_TIME.fullmatch(hours.start) and _TIME.fullmatch(hours.end)) and hours.start != hours.end


def _has_frequency_cap(merchant: Merchant) -> bool:
    cap = merchant.frequency_cap
    return not merchant.HasField("frequency_cap") or (1 <= cap.texts_max <= 100 and 1 <= cap.days <= 90)


def _has_public_base_url(merchant: Merchant) -> bool:
    url = merchant.public_base_url
    return not url or (len(url) <= URL_LENGTH_MAX and _URL.fullmatch(url) is not None)


@cache
def time_zones() -> frozenset[str]:
    """IANA names: the machine's or, on one that has no zones, those that the phone library knows."""
    names = available_timezones() or {name for names in TIMEZONE_DATA.values() for name in names}
    return frozenset(names | {"UTC"}) - {"localtime", "Factory"}


# By field: its normal form, whether that is valid, and the refusal where it is not.
CHECKS: dict[str, tuple[Callable[[Merchant], None], Callable[[Merchant], bool], type[DomainError]]] = {
    "company": (_company, _has_company, CompanyInvalid),
    "sender_name": (
        _as_it_is,
        lambda merchant: not merchant.sender_name or _SENDER_NAME.fullmatch(merchant.sender_name) is not None,
        SenderNameInvalid,
    ),
    "time_zone": (_as_it_is, lambda merchant: merchant.time_zone in time_zones(), TimeZoneInvalid),
    "country": (_country, lambda merchant: merchant.country in SUPPORTED_REGIONS, CountryInvalid),
    "frequency_cap": (_frequency_cap, _has_frequency_cap, FrequencyCapInvalid),
    "quiet_hours": (_quiet_hours, _has_quiet_hours, QuietHoursInvalid),
    "public_base_url": (_as_it_is, _has_public_base_url, PublicBaseUrlInvalid),
}
