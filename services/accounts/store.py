"""All SQL of accounts.

Who logs in or renews has not said yet which merchant it is, so users by email, sessions by id and the signing keys are
read in the pipeline's transactions. What a merchant then does is in its own.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from astronote.accounts.v1.accounts_pb2 import Merchant
from kit import rows
from kit.rows import AnyRow
from kit.store import Store
from services.accounts.errors import EmailTaken, MerchantNotFound
from services.accounts.signing import SigningKey
from services.accounts.tables import merchants, metadata, sessions, signing_keys, users

MERCHANT = rows.columns(Merchant, merchants)
SIGNING_KEY = (signing_keys.c.kid, signing_keys.c.public_key, signing_keys.c.private_key, signing_keys.c.create_time)
# Any number that no other advisory lock of this database uses.
SIGNING_KEYS_LOCK = 1
DELETE_BATCH = 5000


class AccountStore(Store):
    metadata = metadata

    # Merchants

    async def add_merchant(self, merchant: Merchant) -> None:
        await self.connection.execute(insert(merchants).values(rows.values(merchant, merchants)))

    async def merchant(self, id: str) -> Merchant:
        """Refuses `MerchantNotFound`."""
        return await self._merchant(select(*MERCHANT).where(merchants.c.id == id), id)

    async def update_merchant(self, id: str, merchant: Merchant, paths: list[str]) -> Merchant:
        """Refuses `MerchantNotFound`."""
        values = rows.values(merchant, merchants, paths)
        return await self._merchant(
            update(merchants).where(merchants.c.id == id).values(values).returning(*MERCHANT), id
        )

    async def _merchant(self, statement: Any, id: str) -> Merchant:
        row = (await self.connection.execute(statement)).one_or_none()
        if row is None:
            raise MerchantNotFound(id=id)
        return rows.message(Merchant, row)

    # Users

    async def add_user(self, id: str, *, email: str, password_hash: str, now: datetime) -> None:
        """Of two at once the second waits for the first's commit. Refuses `EmailTaken`."""
        row = {"id": id, "merchant_id": self.merchant_id, "email": email, "password_hash": password_hash}
        statement = (
            insert(users).values(row | {"create_time": now}).on_conflict_do_nothing(constraint="users_email_key")
        )
        if not (await self.connection.execute(statement)).rowcount:
            raise EmailTaken(field="email")

    async def user(self, email: str) -> AnyRow | None:
        """`(id, merchant_id, password_hash)`; none where nobody has this email."""
        query = select(users.c.id, users.c.merchant_id, users.c.password_hash).where(users.c.email == email)
        return (await self.connection.execute(query)).one_or_none()

    # Sessions

    async def add_session(
        self, id: str, *, user_id: str, token_hash: bytes, now: datetime, expire_time: datetime
    ) -> None:
        row = {"id": id, "merchant_id": self.merchant_id, "user_id": user_id, "token_hash": token_hash}
        times = {"create_time": now, "expire_time": expire_time}
        await self.connection.execute(insert(sessions).values(row | times))

    async def renew_session(
        self, id: str, *, token_hash: bytes, new_hash: bytes, now: datetime, expire_time: datetime
    ) -> AnyRow | None:
        """Trades the session's token for a new one: `(user_id, merchant_id)`, or none where it is not the valid one.

        Of two at once the second waits for the first, and finds its token used.
        """
        statement = (
            update(sessions)
            .where(
                sessions.c.id == id,
                sessions.c.token_hash == token_hash,
                sessions.c.revoke_time.is_(None),
                sessions.c.expire_time > now,
            )
            .values(token_hash=new_hash, expire_time=expire_time)
            .returning(sessions.c.user_id, sessions.c.merchant_id)
        )
        return (await self.connection.execute(statement)).one_or_none()

    async def revoke_session(self, id: str, now: datetime) -> None:
        statement = update(sessions).where(sessions.c.id == id, sessions.c.revoke_time.is_(None))
        await self.connection.execute(statement.values(revoke_time=now))

    async def delete_expired_sessions(self, now: datetime) -> int:
        """How many there were, a batch at most."""
        expired = select(sessions.c.id).where(sessions.c.expire_time < now).limit(DELETE_BATCH)
        expired = expired.with_for_update(skip_locked=True)
        return (await self.connection.execute(delete(sessions).where(sessions.c.id.in_(expired)))).rowcount

    # Signing keys

    async def signing_keys(self, now: datetime) -> list[SigningKey]:
        """Those that are valid, newest first."""
        is_valid = or_(signing_keys.c.expire_time.is_(None), signing_keys.c.expire_time > now)
        query = select(*SIGNING_KEY).where(is_valid).order_by(signing_keys.c.create_time.desc())
        return [SigningKey(*row) for row in await self.connection.execute(query)]

    async def lock_signing_keys(self) -> None:
        """Until the commit: of two replicas that find no key one makes it, and the other sees it."""
        await self.connection.execute(select(func.pg_advisory_xact_lock(SIGNING_KEYS_LOCK)))

    async def add_signing_key(self, key: SigningKey) -> None:
        row = {"kid": key.kid, "public_key": key.public_key, "private_key": key.private_key}
        await self.connection.execute(insert(signing_keys).values(row | {"create_time": key.create_time}))
