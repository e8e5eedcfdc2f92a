"""Phones: the quick way and phonenumbers agree on every region, and what people write is read."""

import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astronote.accounts.v1 import accounts_pb2
from astronote.accounts.v1.accounts_pb2_grpc import MerchantsServiceServicer, add_MerchantsServiceServicer_to_server
from kit.channel import Peer
from kit.identity import Identity
from services.contacts import phones
from services.contacts.countries import KEEP_SECONDS, Countries
from services.contacts.errors import AccountsUnavailable, PhoneInvalid
from services.contacts.suppression import PhoneHash
from tests.conftest import KEYS, PUBLIC_KEYS


def quick(text: str, country: str) -> str:
    return phones._international(text) if text[:1] == "+" else phones._national(text, country)


def full(text: str, country: str) -> str:
    try:
        return phones._parsed(text, text, None if text[:1] == "+" else country)
    except PhoneInvalid:
        return ""


def test_the_quick_way_agrees_with_phonenumbers_in_every_region():
    chance = random.Random(7)
    hits = 0
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (0, 1, 3, 4, 6):  # fixed, mobile, toll free, premium, voice over IP
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            code, national = str(example.country_code), phonenumbers.national_significant_number(example)
            for changes in (0, 0, 1, 2, 6):
                digits = list(national)
                for _ in range(changes):
                    digits[chance.randrange(len(digits))] = chance.choice("0123456789")
                number = "".join(digits)[: len(digits) - (changes == 6)] + "1" * (changes == 2)
                for form in (f"+{code}{number}", f"{code}{number}", number, f"0{number}", f"1{number}", f"8{number}"):
                    if found := quick(form, region):
                        hits += 1
                        assert found == full(form, region), (region, form)
    assert hits > 4_000


@given(
    st.from_regex(r"\+?[0-9]{5,13}", fullmatch=True), st.sampled_from(["GR", "CY", "GB", "US", "DE", "IT", "RU", "HU"])
)
def test_the_quick_way_agrees_with_phonenumbers_on_any_digits(text: str, country: str):
    if found := quick(text, country):
        assert found == full(text, country)


@pytest.mark.parametrize(
    ("text", "country", "phone"),
    [
        ("6912345678", "GR", "+306912345678"),
        ("691 234-5678", "GR", "+306912345678"),
        ("306912345678", "GR", "+306912345678"),
        ("2101234567", "GR", "+302101234567"),
        ("+30 691 234 5678", "", "+306912345678"),
        ("0030.691.2345678", "", "+306912345678"),
        ('="+306912345678"', "", "+306912345678"),
        ("\u202a+30 691 2345678\u202c", "", "+306912345678"),
        ("'6912345678", "GR", "+306912345678"),
        ("07400 123456", "GB", "+447400123456"),
        ("+44 (0)7400 123456", "", "+447400123456"),
        ("8 912 345-67-89", "RU", "+79123456789"),
        ("(201) 555-0123", "US", "+12015550123"),
        ("٦٩١٢٣٤٥٦٧٨", "GR", "+306912345678"),
        ("99123456", "CY", "+35799123456"),
    ],
)
def test_numbers_as_people_write_them(text: str, country: str, phone: str):
    assert phones.normalized(text, country) == phone


@pytest.mark.parametrize(
    "text", ["", " ", "+", "00", "691", "69123456789", "6912345678x", "1-800-FLOWERS", "+306912345678;ext=5", "1" * 300]
)
def test_what_is_no_number_in_greece(text: str):
    with pytest.raises(PhoneInvalid):
        phones.normalized(text, "GR")


def test_a_country_is_needed_only_where_the_number_has_none():
    with pytest.raises(phones.CountryNeeded):
        phones.normalized("6912345678")


def test_the_hash_of_a_phone_is_keyed():
    assert PhoneHash("A" * 43)("+306912345678") == PhoneHash("A" * 43)("+306912345678")
    assert PhoneHash("A" * 43)("+306912345678") != PhoneHash("B" * 43)("+306912345678")
    assert len(PhoneHash("A" * 43)("+306912345678")) == 16
    with pytest.raises(ValueError, match="SUPPRESSION_KEY"):
        PhoneHash("AAAA")


class Merchants(MerchantsServiceServicer):
    """Accounts, as far as contacts asks it."""

    def __init__(self) -> None:
        self.asked = 0

    async def GetMerchant(self, request: Any, context: Any) -> accounts_pb2.Merchant:
        self.asked += 1
        return accounts_pb2.Merchant(country="GR")


@pytest.fixture
async def accounts() -> AsyncIterator[tuple[Merchants, grpc.aio.Server, Peer]]:
    server, merchants = grpc.aio.server(), Merchants()
    add_MerchantsServiceServicer_to_server(merchants, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    identity = Identity("contacts", KEYS["contacts"].private, PUBLIC_KEYS)
    peer = Peer(accounts_pb2.DESCRIPTOR, f"127.0.0.1:{port}", identity)
    yield merchants, server, peer
    await peer.channel.close()
    await server.stop(0)


async def test_accounts_is_asked_once_a_minute_and_only_where_it_must(accounts: Any, merchant_id: str):
    merchants, server, peer = accounts
    now = [1000.0]
    countries = Countries(peer, lambda: now[0])
    assert await countries.normalized("+306912345678", merchant_id) == "+306912345678"
    assert merchants.asked == 0
    for _ in range(3):
        assert await countries.normalized("6912345678", merchant_id) == "+306912345678"
    assert merchants.asked == 1
    now[0] += KEEP_SECONDS + 1
    await countries.of(merchant_id)
    assert merchants.asked == 2
    await server.stop(0)
    assert await countries.of(merchant_id) == "GR"
    now[0] += KEEP_SECONDS + 1
    with pytest.raises(AccountsUnavailable):
        await countries.normalized("6912345678", merchant_id)
    assert await countries.normalized("+306912345678", merchant_id) == "+306912345678"
