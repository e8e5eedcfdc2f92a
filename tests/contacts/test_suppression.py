"""An opt-out is final: what takes it back, what doesn't, and what it outlives."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from astronote.contacts.v1 import contacts_pb2 as pb
from tests.contacts.client import Client, reason

PHONE, OTHER_PHONE = "+306900000001", "+306900000002"
NOW = datetime.now(UTC)
SUBSCRIBED, UNSUBSCRIBED = pb.Contact.SUBSCRIBED, pb.Contact.UNSUBSCRIBED


async def withdraw(book: Client, source: str, at: int = 0, phone: str = PHONE) -> bool:
    """`at`: seconds from now, when the person said so."""
    return (await book("WithdrawConsent", phone=phone, source=source, said_time=NOW + timedelta(seconds=at))).changed


async def restore(book: Client, at: int = 0, phone: str = PHONE) -> bool:
    return (await book("RestoreConsent", phone=phone, said_time=NOW + timedelta(seconds=at))).changed


async def may_be_texted(book: Client, phone: str = PHONE) -> bool:
    """As the sender asks just before it submits; the audience must say the same."""
    refused = (await book("FilterTextable", phones=[phone])).refused_phones
    strangers = (await book("FilterTextable", phones=[phone], allow_strangers=True)).refused_phones
    assert (phone in [each.phone for each in await book.audience()]) == (not refused)
    assert refused or not strangers
    return not refused


async def ledger(book: Client) -> list[tuple[str, str]]:
    return [(said["event"], said["source"]) for said in await book.ledger()]


async def state(book: Client, phone: str = PHONE) -> Any:
    return next(person.subscription for person in await book.book() if person.phone == phone)


async def test_a_start_takes_back_a_stop_and_only_once(book: Client):
    await book.create(PHONE)
    assert await withdraw(book, "STOP", 1)
    assert not await may_be_texted(book)
    assert await restore(book, 2)
    assert not await restore(book, 2)
    assert (await state(book), await may_be_texted(book)) == (SUBSCRIBED, True)
    assert await ledger(book) == [("GRANTED", "merchant"), ("WITHDRAWN", "STOP"), ("GRANTED", "START")]


@pytest.mark.parametrize("source", ["unsubscribe link", "merchant", "review", "erasure", "stop"])
@pytest.mark.parametrize("stop_is_first", [True, False])
async def test_a_start_takes_back_nothing_else(book: Client, source: str, stop_is_first: bool):
    await book.create(PHONE)
    said = ["STOP", source] if stop_is_first else [source, "STOP"]
    assert [await withdraw(book, each, at) for at, each in enumerate(said)] == [True, False]
    assert not await restore(book, 9)
    assert (await state(book), await may_be_texted(book)) == (UNSUBSCRIBED, False)
    # What made it firmer stands in the ledger as well; a STOP after that says nothing new.
    assert [each for _, each in await ledger(book)][1:] == (said if stop_is_first else [source])


async def test_a_start_takes_back_no_word_of_the_merchant(book: Client):
    person = await book.create(PHONE)
    await withdraw(book, "STOP")
    await book.update(person.id, subscription=UNSUBSCRIBED)
    assert not await restore(book, 1)
    # Nor where the merchant's word came first and left no suppression: the person has a new number.
    moved = await book.create("+306900000003", subscription=UNSUBSCRIBED)
    await book.update(moved.id, phone=OTHER_PHONE)
    await withdraw(book, "STOP", phone=OTHER_PHONE)
    assert not await restore(book, 1, phone=OTHER_PHONE)
    assert await state(book, OTHER_PHONE) == UNSUBSCRIBED


async def test_a_start_that_is_older_than_a_stop_comes_too_late(book: Client):
    await book.create(PHONE)
    await withdraw(book, "STOP", 1)
    await withdraw(book, "STOP", 5)
    # Out of order: the earlier STOP once more, then a START from between the two.
    await withdraw(book, "STOP", 1)
    assert not await restore(book, 3)
    assert not await may_be_texted(book)
    assert await restore(book, 5)


async def test_a_start_of_somebody_who_never_stopped_changes_nothing(book: Client):
    assert not await restore(book)
    person = await book.create(PHONE, subscription=UNSUBSCRIBED)
    assert not await restore(book)
    assert (await book("GetContact", id=person.id)).subscription == UNSUBSCRIBED
    assert ("GRANTED", "START") not in await ledger(book)


async def test_a_stop_and_its_start_are_the_right_merchants_only(book: Client, other: Client):
    for each in (book, other):
        await each.create(PHONE)
    await withdraw(book, "STOP")
    assert [await may_be_texted(each) for each in (book, other)] == [False, True]
    await withdraw(other, "STOP")
    assert await restore(book, 1)
    assert [await may_be_texted(each) for each in (book, other)] == [True, False]


async def test_an_opt_out_outlives_the_contact(book: Client):
    person = await book.create(PHONE)
    await withdraw(book, "STOP")
    await book("DeleteContact", id=person.id)
    again = await book.create(PHONE)
    assert again.subscription == UNSUBSCRIBED
    assert await reason(book.update(again.id, subscription=SUBSCRIBED)) == "OPTED_OUT"
    # To make it anew was no word of the merchant's against texts: the START still counts.
    assert await restore(book, 1)
    assert await state(book) == SUBSCRIBED


@pytest.mark.parametrize("on_duplicate", ["SKIP", "UPDATE"])
@pytest.mark.parametrize("source", ["STOP", "unsubscribe link"])
async def test_an_opt_out_outlives_an_import(book: Client, on_duplicate: str, source: str):
    person = await book.create(PHONE)
    await withdraw(book, source)
    await withdraw(book, source, phone=OTHER_PHONE)
    rows = f"phone,first_name,subscription\n{PHONE},Α,SUBSCRIBED\n{OTHER_PHONE},Β,\n"
    for delete in (False, True):
        if delete:
            await book("DeleteContact", id=person.id)
        done = await book.imported(rows, on_duplicate=on_duplicate)
        assert (done.state, done.rejected) == (pb.Import.DONE, 0)
        for phone in (PHONE, OTHER_PHONE):
            assert await state(book, phone) == UNSUBSCRIBED
            assert not await may_be_texted(book, phone)
    assert await restore(book, 1) == (source == "STOP")


async def test_an_opt_out_in_a_file_is_firmer_than_a_stop(book: Client):
    await book.create(PHONE)
    await withdraw(book, "STOP")
    await book.imported(f"phone,subscription\n{PHONE},UNSUBSCRIBED\n")
    assert not await restore(book, 1)
    assert [source for _, source in await ledger(book)] == ["merchant", "STOP", "import"]


async def test_stops_and_starts_at_once_end_in_one_state(book: Client):
    await book.create(PHONE)
    for round in range(5):
        at = 10 * round
        await asyncio.gather(
            *(withdraw(book, "STOP", at + 5) for _ in range(4)), *(restore(book, at) for _ in range(4))
        )
        assert (await state(book), await may_be_texted(book)) == (UNSUBSCRIBED, False)
        assert sum(await asyncio.gather(*(restore(book, at + 5) for _ in range(4)))) == 1
        assert (await state(book), await may_be_texted(book)) == (SUBSCRIBED, True)


async def test_what_is_no_phone_is_refused(book: Client):
    assert await reason(book("RestoreConsent", phone="6900000001", said_time=NOW)) == "PHONE_INVALID"
    assert await reason(book("RestoreConsent", phone=PHONE)) == "FIELD_REQUIRED"
