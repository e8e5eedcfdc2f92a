"""All SQL of accounts.

Who logs in, renews or shows a key has not said yet which merchant it is, so users by email, sessions by id and keys by
hash are read in the pipeline's transactions, as are the signing keys, the operators and the counts of failed logins,
which are no merchant's. What a merchant then does is in its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from astronote.accounts.v1.accounts_pb2 import ApiKey, Merchant, ResolvedApiKey
from kit import rows
from kit.rows import AnyRow, one_of
from kit.store import Store
from services.accounts.errors import ApiKeyNotFound, EmailTaken, MerchantNotFound
from services.accounts.signing import ACTIVE, RETIRED, SigningKey
from services.accounts.tables import (
    api_keys,
    login_counts,
    merchants,
    metadata,
    operators,
    sessions,
    signing_keys,
    users,
)

MERCHANT = rows.columns(Merchant, merchants)
API_KEY = rows.columns(ApiKey, api_keys)
RESOLVED_API_KEY = rows.columns(ResolvedApiKey, api_keys)
SIGNING_KEY = [signing_keys.c[name] for name in SigningKey.__dataclass_fields__]
LAST_USE_STEP = timedelta(minutes=1)
# Any number that no other advisory lock of this database uses.
SIGNING_KEYS_LOCK = 1
DELETE_BATCH = 5000


@dataclass(frozen=True, slots=True)
class LoginCount:
    """Failed logins of whoever the key stands for (see `lockout`): so many at that time, and no attempt before the
    next.
    """

    key: bytes
    failures: float
    time: datetime
    next_time: datetime
    known: bool
    expire_time: datetime


LOGIN_COUNT = [login_counts.c[name] for name in LoginCount.__dataclass_fields__]


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

    async def merchant_page(self, query: str, after: str | None, limit: int) -> list[Merchant]:
        """In the order of their ids. `query`: an id, the email of a user, or how a company's name begins."""
        statement = select(*MERCHANT).order_by(merchants.c.id).limit(limit)
        if after is not None:
            statement = statement.where(merchants.c.id > after)
        if rows.is_uuid(query):
            statement = statement.where(merchants.c.id == query)
        elif "@" in query:
            mine = select(users.c.merchant_id).where(users.c.email == query)
            statement = statement.where(merchants.c.id.in_(mine))
        elif query:
            statement = statement.where(merchants.c.company.istartswith(query, autoescape=True))
        return [rows.message(Merchant, row) for row in await self.connection.execute(statement)]

    async def lock_merchant(self) -> None:
        """Until the commit: of two at once that count, then add, the second counts what the first added."""
        await self.connection.execute(
            select(merchants.c.id).where(merchants.c.id == self.merchant_id).with_for_update()
        )

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

    async def user_by_id(self, id: str) -> AnyRow | None:
        """`(email, password_hash)`."""
        query = select(users.c.email, users.c.password_hash).where(users.c.id == id)
        return (await self.connection.execute(query)).one_or_none()

    async def has_password(self, id: str, password_hash: str) -> bool:
        """Whether it is still that one; it then stays so until the commit."""
        query = select(users.c.id).where(users.c.id == id, users.c.password_hash == password_hash)
        return (await self.connection.execute(query.with_for_update(read=True))).one_or_none() is not None

    async def change_password(self, id: str, *, old_hash: str, new_hash: str) -> bool:
        """False where the old one is no longer the user's."""
        statement = update(users).where(users.c.id == id, users.c.password_hash == old_hash)
        return bool((await self.connection.execute(statement.values(password_hash=new_hash))).rowcount)

    # Operators

    async def operator(self, email: str) -> AnyRow | None:
        """`(id, password_hash)`; none where no operator has this email."""
        query = select(operators.c.id, operators.c.password_hash).where(operators.c.email == email)
        return (await self.connection.execute(query)).one_or_none()

    async def set_operator(self, id: str, *, email: str, password_hash: str, now: datetime) -> None:
        """One who is an operator already gets the new password."""
        row = {"id": id, "email": email, "password_hash": password_hash, "create_time": now}
        statement = insert(operators).values(row)
        await self.connection.execute(
            statement.on_conflict_do_update(
                constraint="operators_email_key", set_={"password_hash": statement.excluded.password_hash}
            )
        )

    async def delete_operator(self, email: str) -> bool:
        return bool((await self.connection.execute(delete(operators).where(operators.c.email == email))).rowcount)

    # API keys

    async def add_api_key(self, key: ApiKey, key_hash: bytes) -> None:
        row = rows.values(key, api_keys) | {"merchant_id": self.merchant_id, "key_hash": key_hash}
        await self.connection.execute(insert(api_keys).values(row))

    async def count_api_keys(self) -> int:
        mine = api_keys.c.merchant_id == self.merchant_id
        return int(await self.connection.scalar(select(func.count()).select_from(api_keys).where(mine)) or 0)

    async def api_keys(self, after: str | None, limit: int) -> list[ApiKey]:
        """In the order of their ids."""
        query = select(*API_KEY).where(api_keys.c.merchant_id == self.merchant_id).order_by(api_keys.c.id).limit(limit)
        if after is not None:
            query = query.where(api_keys.c.id > after)
        return [rows.message(ApiKey, row) for row in await self.connection.execute(query)]

    async def delete_api_key(self, id: str) -> None:
        """Refuses `ApiKeyNotFound`."""
        mine = delete(api_keys).where(api_keys.c.id == id, api_keys.c.merchant_id == self.merchant_id)
        if not (await self.connection.execute(mine)).rowcount:
            raise ApiKeyNotFound(id=id)

    async def resolve_api_key(self, key_hash: bytes, now: datetime) -> ResolvedApiKey:
        """Whose the key is; notes its use where that is a minute old. Refuses `ApiKeyNotFound`."""
        query = select(*RESOLVED_API_KEY).where(api_keys.c.key_hash == key_hash)
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise ApiKeyNotFound
        is_stale = or_(api_keys.c.last_use_time.is_(None), api_keys.c.last_use_time <= now - LAST_USE_STEP)
        statement = update(api_keys).where(api_keys.c.id == row.id, is_stale)
        await self.connection.execute(statement.values(last_use_time=now))
        return rows.message(ResolvedApiKey, row)

    # Failed logins

    async def locked_login_counts(self, keys: list[bytes], now: datetime) -> dict[bytes, LoginCount]:
        """One for each key, made where there is none, locked until the commit. `keys` are sorted, so that two never
        wait for each other.
        """
        new = [LoginCount(key, 0.0, now, now, False, now + timedelta(days=1)) for key in keys]
        statement = insert(login_counts).values([_fields(count) for count in new])
        locked = statement.on_conflict_do_update(
            constraint="login_counts_pkey", set_={"key": statement.excluded.key}
        ).returning(*LOGIN_COUNT)
        counts = [LoginCount(*row) for row in await self.connection.execute(locked)]
        return {count.key: count for count in counts}

    async def update_login_counts(self, counts: Iterable[LoginCount]) -> None:
        statement = update(login_counts).where(login_counts.c.key == bindparam("which"))
        changed = [_fields(count) for count in counts]
        await self.connection.execute(statement, [{**row, "which": row.pop("key")} for row in changed])

    async def delete_expired_login_counts(self, now: datetime) -> int:
        """How many there were, a batch at most."""
        expired = select(login_counts.c.key).where(login_counts.c.expire_time < now).limit(DELETE_BATCH)
        expired = expired.with_for_update(skip_locked=True)
        return (await self.connection.execute(delete(login_counts).where(one_of(login_counts.c.key, expired)))).rowcount

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

    async def revoke_sessions(self, user_id: str, now: datetime) -> None:
        """All of a user's."""
        statement = update(sessions).where(sessions.c.user_id == user_id, sessions.c.revoke_time.is_(None))
        await self.connection.execute(statement.values(revoke_time=now))

    async def delete_expired_sessions(self, now: datetime) -> int:
        """How many there were, a batch at most."""
        expired = select(sessions.c.id).where(sessions.c.expire_time < now).limit(DELETE_BATCH)
        expired = expired.with_for_update(skip_locked=True)
        return (await self.connection.execute(delete(sessions).where(one_of(sessions.c.id, expired)))).rowcount

    # Signing keys

    async def signing_keys(self, now: datetime) -> list[SigningKey]:
        """Those that are valid, newest first."""
        is_valid = or_(signing_keys.c.expire_time.is_(None), signing_keys.c.expire_time > now)
        query = select(*SIGNING_KEY).where(is_valid).order_by(signing_keys.c.create_time.desc())
        return [SigningKey(*row) for row in await self.connection.execute(query)]

    async def lock_signing_keys(self) -> None:
        """Until the commit: of two replicas that find it time for a key one makes it, and the other sees it."""
        await self.connection.execute(select(func.pg_advisory_xact_lock(SIGNING_KEYS_LOCK)))

    async def add_signing_key(self, key: SigningKey) -> SigningKey:
        await self.connection.execute(insert(signing_keys).values(_fields(key)))
        return key

    async def activate_signing_key(self, kid: str, now: datetime) -> None:
        await self._change_signing_key(kid, state=ACTIVE, active_time=now)

    async def retire_signing_key(self, kid: str, expire_time: datetime) -> None:
        await self._change_signing_key(kid, state=RETIRED, expire_time=expire_time)

    async def delete_expired_signing_keys(self, now: datetime) -> None:
        await self.connection.execute(delete(signing_keys).where(signing_keys.c.expire_time <= now))

    async def _change_signing_key(self, kid: str, **values: Any) -> None:
        await self.connection.execute(update(signing_keys).where(signing_keys.c.kid == kid).values(values))


def _fields(value: LoginCount | SigningKey) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
