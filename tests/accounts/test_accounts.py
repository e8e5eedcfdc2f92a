"""Accounts over a real channel and a real database."""

import asyncio
import time
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import jwt
import pytest
from sqlalchemy import text

from astronote.accounts.v1 import accounts_pb2 as pb
from astronote.accounts.v1.events_pb2 import MerchantRegistered
from services.accounts import credentials
from services.accounts.expiry import Expiry
from services.accounts.store import AccountStore
from tests.accounts.client import PASSWORD, Client, column, refused


@pytest.fixture
def shop(mesh: Any) -> Client:
    return Client(mesh)


async def test_a_merchant_registers_logs_in_and_is_known(shop: Client):
    session = await shop.register(email=f"  {shop.email.upper()} ")
    merchant = session.merchant
    assert (merchant.company, merchant.time_zone, merchant.country) == ("Καφέ Νότος", "Europe/Athens", "GR")
    assert not merchant.HasField("quiet_hours")
    assert await shop.get() == merchant
    assert await shop.get("campaigns") == merchant
    again = await shop.login()
    assert again.merchant == merchant
    assert again.expires_in == 900
    assert again.refresh_token != session.refresh_token


async def test_the_published_keys_verify_a_token(shop: Client):
    before = int(time.time())
    session = await shop.register()
    claims = await shop.claims(session.access_token)
    header = jwt.get_unverified_header(session.access_token)
    assert (header["alg"], header["typ"]) == ("EdDSA", "at+jwt")
    assert claims["mid"] == shop.merchant_id
    assert claims["exp"] - claims["iat"] == 900
    assert before <= claims["iat"] <= time.time()
    other = await shop.claims((await shop.login()).access_token)
    assert other["sub"] == claims["sub"]
    assert other["jti"] != claims["jti"]
    keys = (await shop.auth("GetKeys")).keys
    assert {(key.kty, key.crv, key.alg, key.use) for key in keys} == {("OKP", "Ed25519", "EdDSA", "sig")}


async def test_a_refresh_token_works_once_and_reuse_revokes_its_family(shop: Client):
    first = await shop.register()
    bystander = await shop.login()
    second = await shop.refresh(first.refresh_token)
    assert second.merchant == first.merchant
    assert (await shop.claims(second.access_token))["mid"] == shop.merchant_id
    third = await shop.refresh(second.refresh_token)
    assert await refused(shop.refresh(first.refresh_token)) == ("REFRESH_TOKEN_INVALID", "")
    assert await refused(shop.refresh(third.refresh_token)) == ("REFRESH_TOKEN_INVALID", "")
    assert await shop.refresh(bystander.refresh_token)


async def test_of_twenty_refreshes_at_once_one_wins(shop: Client):
    session = await shop.register()
    answers = await asyncio.gather(*(shop.refresh(session.refresh_token) for _ in range(20)), return_exceptions=True)
    won = [answer for answer in answers if isinstance(answer, pb.Session)]
    assert len(won) == 1
    assert await refused(shop.refresh(won[0].refresh_token)) == ("REFRESH_TOKEN_INVALID", "")


async def test_logout_revokes_and_an_unknown_token_is_no_error(shop: Client):
    session = await shop.register()
    assert await shop.auth("Logout", refresh_token=session.refresh_token) == pb.LogoutResponse()
    assert await refused(shop.refresh(session.refresh_token)) == ("REFRESH_TOKEN_INVALID", "")
    for token in ("", "nonsense", "é", "A" * 64, session.refresh_token):
        await shop.auth("Logout", refresh_token=token)
    for token in ("nonsense", "é", "A" * 64, "A" * 10_000):
        assert await refused(shop.refresh(token)) == ("REFRESH_TOKEN_INVALID", "")


async def test_tokens_expire_and_are_forgotten(shop: Client, mesh: Any):
    session = await shop.register()
    expire_times = await column(
        mesh, "SELECT expire_time FROM sessions WHERE merchant_id = :id", id=session.merchant.id
    )
    assert abs(expire_times[0] - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=1)
    expire = "UPDATE sessions SET expire_time = now() - interval '1 s' WHERE merchant_id = :id RETURNING id"
    await column(mesh, expire, id=session.merchant.id)
    assert await refused(shop.refresh(session.refresh_token)) == ("REFRESH_TOKEN_INVALID", "")
    assert await Expiry(mesh.app("accounts").database).step()
    assert not await column(mesh, "SELECT id FROM sessions WHERE merchant_id = :id", id=session.merchant.id)


async def test_nothing_secret_rests_readable(shop: Client, mesh: Any):
    session = await shop.register()
    rows = await column(mesh, "SELECT u::text || s::text FROM users u JOIN sessions s ON s.user_id = u.id")
    assert not any(PASSWORD in row or session.refresh_token in row for row in rows)
    hashes = await column(mesh, "SELECT password_hash FROM users WHERE merchant_id = :id", id=session.merchant.id)
    assert hashes[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_wrong_email_and_wrong_password_can_not_be_told_apart(shop: Client):
    await shop.register()

    async def answer(**fields: str) -> tuple[Any, ...]:
        start = time.perf_counter()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await shop.login(**fields)
        error = raised.value
        trailer = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
        return time.perf_counter() - start, error.code(), error.details(), trailer

    # In turn, so that a busy machine is busy for both.
    wrong_password, wrong_email = [], []
    for number in range(10):
        wrong_password.append(await answer(password="wrong password"))
        wrong_email.append(await answer(email=f"nobody-{number}@shop.example"))
    assert {one[1:] for one in wrong_password + wrong_email} == {wrong_password[0][1:]}
    assert wrong_password[0][1] is grpc.StatusCode.UNAUTHENTICATED
    fastest = [min(one[0] for one in answers) for answers in (wrong_password, wrong_email)]
    assert max(fastest) < 2 * min(fastest)
    for email in ("no email", "nul\0@shop.example", "x" * 100_000):
        assert await refused(shop.login(email=email)) == ("CREDENTIALS_WRONG", "")
    assert await refused(shop.login(password=PASSWORD + "x" * 1_000_000)) == ("CREDENTIALS_WRONG", "")


async def test_a_password_is_its_letters_however_they_are_composed(shop: Client):
    await shop.register()
    assert unicodedata.normalize("NFD", PASSWORD) != PASSWORD
    assert await shop.login(unicodedata.normalize("NFD", PASSWORD))


async def test_an_email_registers_once_of_nine_at_once(shop: Client, mesh: Any):
    emails = [shop.email.upper() if number % 2 else shop.email for number in range(9)]
    calls = [Client(mesh).register(email=email) for email in emails]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, pb.Session) for answer in answers) == 1
    assert await refused(Client(mesh).register(email=shop.email)) == ("EMAIL_TAKEN", "email")
    # The losers left nothing behind, and said nothing.
    merchants = "SELECT count(*) FROM merchants m WHERE NOT EXISTS (SELECT FROM users u WHERE u.merchant_id = m.id)"
    assert await column(mesh, merchants) == [0]


async def test_registering_is_said_once_it_is_committed(shop: Client, mesh: Any):
    await mesh.service("accounts")
    subject = f"event.{MerchantRegistered.DESCRIPTOR.full_name}"
    heard = await mesh.app("accounts").bus.client.subscribe(subject)
    try:
        await shop.register()
        ids = set()
        while shop.merchant_id not in ids:
            ids.add(MerchantRegistered.FromString((await heard.next_msg(timeout=10)).data).merchant_id)
    finally:
        await heard.unsubscribe()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"email": ""}, ("FIELD_REQUIRED", "email")),
        ({"email": "shop.example"}, ("EMAIL_INVALID", "email")),
        ({"email": "a b@shop.example"}, ("EMAIL_INVALID", "email")),
        ({"email": "a@shop"}, ("EMAIL_INVALID", "email")),
        ({"email": "a\0b@shop.example"}, ("EMAIL_INVALID", "email")),
        ({"email": f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 20}.gr"}, ("EMAIL_INVALID", "email")),
        ({"password": "123456789"}, ("PASSWORD_INVALID", "password")),
        ({"password": "x" * 129}, ("PASSWORD_INVALID", "password")),
        ({"company": " \t "}, ("COMPANY_INVALID", "company")),
        ({"company": "x" * 201}, ("COMPANY_INVALID", "company")),
        ({"company": "a\0b"}, ("COMPANY_INVALID", "company")),
        ({"sender_name": "ab"}, ("SENDER_NAME_INVALID", "sender_name")),
        ({"sender_name": "abcdefghijkl"}, ("SENDER_NAME_INVALID", "sender_name")),
        ({"sender_name": "Νότος"}, ("SENDER_NAME_INVALID", "sender_name")),
        ({"sender_name": "+3069"}, ("SENDER_NAME_INVALID", "sender_name")),
        ({"time_zone": "Europe/Atlantis"}, ("TIME_ZONE_INVALID", "time_zone")),
        ({"time_zone": "../../etc/passwd"}, ("TIME_ZONE_INVALID", "time_zone")),
        ({"country": "XX"}, ("COUNTRY_INVALID", "country")),
        ({"country": "GRC"}, ("COUNTRY_INVALID", "country")),
    ],
)
async def test_registering_names_what_is_wrong(shop: Client, fields: dict[str, str], expected: tuple[str, str]):
    assert await refused(shop.register(**fields)) == expected


async def test_a_merchant_changes_what_the_mask_names(shop: Client):
    before = (await shop.register(sender_name="Notos", country="cy", time_zone="Asia/Nicosia")).merchant
    assert before.country == "CY"
    hours = pb.QuietHours(start="21:00", end="09:30")
    after = await shop.update("quiet_hours", "sender_name", quiet_hours=hours, company="ignored")
    assert (after.quiet_hours, after.sender_name, after.company) == (hours, "", before.company)
    after = await shop.update(company="  Νότος \n ΑΕ ", public_base_url="https://notos.gr/sms")
    assert (after.company, after.public_base_url, after.quiet_hours) == ("Νότος ΑΕ", "https://notos.gr/sms", hours)
    after = await shop.update("quiet_hours", quiet_hours=pb.QuietHours())
    assert not after.HasField("quiet_hours")
    assert await shop.update("public_base_url") == await shop.get()
    assert (await shop.get()).public_base_url == ""
    assert await shop.update() == await shop.get()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"company": ""}, "COMPANY_INVALID"),
        ({"sender_name": "a!"}, "SENDER_NAME_INVALID"),
        ({"time_zone": ""}, "TIME_ZONE_INVALID"),
        ({"country": ""}, "COUNTRY_INVALID"),
        ({"quiet_hours": pb.QuietHours(start="21:00")}, "QUIET_HOURS_INVALID"),
        ({"frequency_cap": pb.FrequencyCap(texts_max=3)}, "FREQUENCY_CAP_INVALID"),
        ({"frequency_cap": pb.FrequencyCap(texts_max=101, days=7)}, "FREQUENCY_CAP_INVALID"),
        ({"frequency_cap": pb.FrequencyCap(texts_max=3, days=91)}, "FREQUENCY_CAP_INVALID"),
        ({"quiet_hours": pb.QuietHours(end="21:00")}, "QUIET_HOURS_INVALID"),
        ({"quiet_hours": pb.QuietHours(start="21:00", end="24:00")}, "QUIET_HOURS_INVALID"),
        ({"quiet_hours": pb.QuietHours(start="9:00", end="21:00")}, "QUIET_HOURS_INVALID"),
        ({"quiet_hours": pb.QuietHours(start="21:00", end="21:00")}, "QUIET_HOURS_INVALID"),
        ({"public_base_url": "http://notos.gr"}, "PUBLIC_BASE_URL_INVALID"),
        ({"public_base_url": "https://notos.gr/"}, "PUBLIC_BASE_URL_INVALID"),
        ({"public_base_url": "https://notos.gr?a=b"}, "PUBLIC_BASE_URL_INVALID"),
        ({"public_base_url": "https://me:secret@notos.gr"}, "PUBLIC_BASE_URL_INVALID"),
        ({"public_base_url": "javascript:alert(1)"}, "PUBLIC_BASE_URL_INVALID"),
        ({"public_base_url": "https://notos.gr\n"}, "PUBLIC_BASE_URL_INVALID"),
        ({"public_base_url": "https://" + "a." * 100 + "gr"}, "PUBLIC_BASE_URL_INVALID"),
        ({"id": "x"}, "MASK_INVALID"),
        ({"create_time": datetime(2020, 1, 1, tzinfo=UTC)}, "MASK_INVALID"),
    ],
)
async def test_updating_names_what_is_wrong(shop: Client, fields: dict[str, Any], reason: str):
    before = (await shop.register()).merchant
    (name,) = fields
    expected = name if reason == "MASK_INVALID" else f"merchant.{name}"
    assert await refused(shop.update(name, **fields)) == (reason, expected)
    assert await shop.get() == before


@pytest.mark.parametrize(
    "url", ["https://notos.gr", "https://xn--kxae4bafwg.gr:8443/s", "http://localhost:8080", "http://127.0.0.1:80"]
)
async def test_public_addresses(shop: Client, url: str):
    await shop.register()
    assert (await shop.update("public_base_url", public_base_url=url)).public_base_url == url


async def test_one_merchant_sees_nothing_of_another(shop: Client, mesh: Any):
    await shop.register()
    other = Client(mesh)
    await other.register(company="Άλλος")
    await other.update("sender_name", sender_name="Other")
    assert (await shop.get()).sender_name == ""
    tables = ("merchants", "users", "sessions", "signing_keys")
    database = mesh.app("accounts").database
    async with AccountStore.open(database, shop.merchant_id) as store:
        counts = [await store.connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables]
        changed = await store.connection.execute(text("UPDATE merchants SET company = 'mine'"))
    assert (counts, changed.rowcount) == ([1, 1, 1, 0], 1)
    async with database.merchants.begin() as nobody:
        assert [await nobody.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables] == [0, 0, 0, 0]
    assert (await other.get()).company == "Άλλος"


async def test_a_merchant_that_is_not_is_not_found(shop: Client, mesh: Any, merchant_id: str):
    shop.merchant_id = merchant_id
    assert await refused(shop.get()) == ("MERCHANT_NOT_FOUND", "")
    assert await refused(shop.update("company", company="x")) == ("MERCHANT_NOT_FOUND", "")


async def test_a_storm_of_logins_is_bounded():
    passwords = credentials.Passwords(1)
    hashing = [asyncio.create_task(passwords.hash("x" * 10)) for _ in range(credentials.WAITING_MAX + 5)]
    await asyncio.sleep(0)
    refusals = [task for task in hashing if task.done() and isinstance(task.exception(), credentials.LoginsBusy)]
    assert len(refusals) == 5
    for task in hashing:
        task.cancel()
    await asyncio.gather(*hashing, return_exceptions=True)
