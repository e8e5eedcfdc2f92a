"""Keys change and no token is refused for it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from services.accounts.rotation import PUBLISHED_MIN, RETIRED_LIFE, SigningKeys
from services.accounts.signing import ACTIVE, NEXT, RETIRED
from services.accounts.store import AccountStore
from tests.accounts.client import Client, column

LIFE = timedelta(days=30)


@pytest.fixture
def shop(mesh: Any) -> Client:
    return Client(mesh)


@pytest.fixture
async def keys(mesh: Any) -> AsyncIterator[SigningKeys]:
    """Without a key to begin with."""
    await mesh.service("accounts")
    await column(mesh, "DELETE FROM signing_keys RETURNING kid")
    app = mesh.app("accounts")
    yield SigningKeys(app.database, app.settings)
    await column(mesh, "DELETE FROM signing_keys RETURNING kid")


async def states(mesh: Any) -> dict[str, list[str]]:
    async with AccountStore.open_pipeline(mesh.app("accounts").database) as store:
        found = await store.signing_keys(datetime(2000, 1, 1, tzinfo=UTC))
    by_state: dict[str, list[str]] = {ACTIVE: [], NEXT: [], RETIRED: []}
    for key in found:
        by_state[key.state].append(key.kid)
    return by_state


def kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_of_many_replicas_without_a_key_one_makes_it_and_it_rests_sealed(
    shop: Client, keys: SigningKeys, mesh: Any
):
    # Connections first: a slow one would let the fastest call make its key alone.
    await asyncio.gather(*(shop.auth("Logout") for _ in range(20)))
    sets = await asyncio.gather(*(shop.auth("GetKeys") for _ in range(20)))
    assert len({key.kid for keys in sets for key in keys.keys}) == 2
    found = await states(mesh)
    assert {state: len(kids) for state, kids in found.items()} == {ACTIVE: 1, NEXT: 1, RETIRED: 0}
    assert {len(private) for private in await column(mesh, "SELECT private_key FROM signing_keys")} == {12 + 32 + 16}
    session = await shop.register()
    assert [kid(session.access_token)] == found[ACTIVE]
    await shop.claims(session.access_token)


async def test_a_rotation_refuses_no_token(shop: Client, keys: SigningKeys, mesh: Any):
    now = datetime.now(UTC)
    old = await shop.register()
    before = await states(mesh)
    await keys._rotate(now + LIFE - timedelta(seconds=60))
    assert await states(mesh) == before
    await asyncio.gather(*(keys._rotate(now + LIFE + timedelta(seconds=60)) for _ in range(5)))
    after = await states(mesh)
    assert (after[ACTIVE], after[RETIRED]) == (before[NEXT], before[ACTIVE])
    assert len(after[NEXT]) == 1
    assert not {*after[NEXT]} & {*before[NEXT], *before[ACTIVE]}
    new = await shop.login()
    # What signs now was published before it did, and what signed is published still.
    assert [kid(new.access_token)] == before[NEXT]
    await shop.claims(new.access_token)
    await shop.claims(old.access_token)
    await keys._rotate(now + LIFE + timedelta(seconds=61) + RETIRED_LIFE)
    assert (await states(mesh))[RETIRED] == []
    with pytest.raises(KeyError):
        await shop.claims(old.access_token)
    await shop.claims(new.access_token)


async def test_a_key_does_not_sign_before_it_was_published_for_a_while(keys: SigningKeys, mesh: Any):
    now = datetime.now(UTC)
    await keys._rotate(now)
    before = await states(mesh)
    await column(mesh, "UPDATE signing_keys SET active_time = now() - interval '40 days' RETURNING kid")
    await keys._rotate(now + PUBLISHED_MIN - timedelta(seconds=1))
    assert await states(mesh) == before
    await keys._rotate(now + PUBLISHED_MIN + timedelta(seconds=1))
    assert (await states(mesh))[ACTIVE] == before[NEXT]


async def test_a_key_that_was_lost_is_taken_back(shop: Client, keys: SigningKeys, mesh: Any):
    stolen = await shop.register()
    before = await states(mesh)
    await column(mesh, "UPDATE signing_keys SET expire_time = now() WHERE state = 'ACTIVE' RETURNING kid")
    session = await shop.login()
    assert [kid(session.access_token)] == before[NEXT]
    with pytest.raises(KeyError):
        await shop.claims(stolen.access_token)
    await shop.claims(session.access_token)
