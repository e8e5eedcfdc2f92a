"""Which key signs: each does for some weeks, and the next one is published long before it begins.

Whoever verifies tokens has the next key by the time that it signs, and a retired one is published until the last token
that it signed is over: no token is refused because keys changed. A key that was lost is taken back by hand, with an
`expire_time` that is past: then the next one signs at once.
"""

import secrets
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kit.app import Job
from kit.store import Database
from services.accounts import signing
from services.accounts.errors import NextKeyTooYoung
from services.accounts.settings import Settings
from services.accounts.signing import ACTIVE, NEXT, SigningKey
from services.accounts.store import AccountStore

INTERVAL_SECONDS = 600
# Long enough for the slowest cache of our keys that we know: the gateway's, which is five minutes.
PUBLISHED_MIN = timedelta(minutes=15)
# A token's life, and a minute for a replica that was about to sign.
RETIRED_LIFE = timedelta(seconds=signing.ACCESS_SECONDS + 60)


class SigningKeys:
    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._encryption_key = settings.encryption_key()
        self._life = timedelta(days=settings.signing_key_days)

    def job(self) -> Job:
        return Job("rotation", self.step, INTERVAL_SECONDS)

    async def step(self) -> bool:
        """Rotates where it is time; never finds more to do."""
        await self._rotate(datetime.now(UTC))
        return False

    async def published(self, now: datetime) -> list[SigningKey]:
        """Every key that may have signed a token that is still good, or will soon; the active one first."""
        async with AccountStore.open_pipeline(self._database) as store:
            keys = await store.signing_keys(now)
        if not any(key.state == ACTIVE for key in keys):
            keys = await self._rotate(now)
        return sorted(keys, key=lambda key: key.state != ACTIVE)

    async def access_token(self, now: datetime, **claims: str) -> str:
        """Signed by the active key; `claims` are those of `signing.access_token`."""
        active = (await self.published(now))[0]
        return signing.access_token(active, self._encryption_key, now=now, **claims)

    async def _rotate(self, now: datetime) -> list[SigningKey]:
        async with AccountStore.open_pipeline(self._database) as store:
            await store.lock_signing_keys()
            await store.delete_expired_signing_keys(now)
            keys = {key.state: key for key in await store.signing_keys(now)}
            next_key = keys.get(NEXT) or await store.add_signing_key(self._made(now))
            active = keys.get(ACTIVE)
            if active is None or is_over(active, next_key, now, self._life):
                await self._hand_over(store, active, next_key, now, now + RETIRED_LIFE)
            return await store.signing_keys(now)

    async def rotate(self, now: datetime, *, is_lost: bool) -> list[SigningKey]:
        """By hand, whatever the active key's age. Of a lost key nothing is good any more. Refuses `NextKeyTooYoung`."""
        await self.published(now)
        async with AccountStore.open_pipeline(self._database) as store:
            await store.lock_signing_keys()
            keys = {key.state: key for key in await store.signing_keys(now)}
            young = keys[NEXT].create_time + PUBLISHED_MIN - now
            if young > timedelta(0) and not is_lost:
                raise NextKeyTooYoung(retry_seconds=int(young.total_seconds()) + 1)
            await store.delete_expired_signing_keys(now)
            await self._hand_over(store, keys[ACTIVE], keys[NEXT], now, now if is_lost else now + RETIRED_LIFE)
            await store.delete_expired_signing_keys(now)
            return await store.signing_keys(now)

    async def _hand_over(
        self, store: AccountStore, active: SigningKey | None, next_key: SigningKey, now: datetime, expire_time: datetime
    ) -> None:
        if active is not None:
            await store.retire_signing_key(active.kid, expire_time)
        await store.activate_signing_key(next_key.kid, now)
        await store.add_signing_key(self._made(now))

    def _made(self, now: datetime) -> SigningKey:
        nonce = secrets.token_bytes(signing.NONCE_BYTES)
        return signing.sealed(Ed25519PrivateKey.generate(), self._encryption_key, nonce, now)


def is_over(active: SigningKey, next_key: SigningKey, now: datetime, life: timedelta) -> bool:
    """Never before the next one has been published for long enough."""
    has_served = active.active_time is None or now - active.active_time >= life
    return has_served and now - next_key.create_time >= PUBLISHED_MIN
