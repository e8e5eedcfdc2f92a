"""`python -m services.accounts.operators add|remove EMAIL` says who may log in as an operator.

Run by hand with the settings of the service. `add` makes a password and shows it once; for who is an operator already
it makes a new one. There is no other way to become one.
"""

import asyncio
import secrets
import sys
import uuid
from datetime import UTC, datetime

from kit.store import Database
from services.accounts import credentials
from services.accounts.settings import Settings
from services.accounts.store import AccountStore

PASSWORD_BYTES = 24


async def add(database: Database, email: str) -> str:
    """The password. Refuses `EmailInvalid`."""
    email, password = credentials.email(email), secrets.token_urlsafe(PASSWORD_BYTES)
    password_hash = await credentials.Passwords(1).hash(password)
    async with AccountStore.open_pipeline(database) as store:
        await store.set_operator(str(uuid.uuid4()), email=email, password_hash=password_hash, now=datetime.now(UTC))
    return password


async def remove(database: Database, email: str) -> bool:
    """False where there was no such operator. A token that was given out lives to its end: 15 minutes."""
    async with AccountStore.open_pipeline(database) as store:
        return await store.delete_operator(credentials.normal_email(email))


async def main(arguments: list[str]) -> str:
    """What there is to say of it."""
    if len(arguments) != 2 or arguments[0] not in ("add", "remove"):
        sys.exit(__doc__)
    database = Database(Settings(), "accounts")
    try:
        if arguments[0] == "add":
            return f"Password of {arguments[1]}, shown only here: {await add(database, arguments[1])}"
        return "Removed." if await remove(database, arguments[1]) else "There was no such operator."
    finally:
        await database.close()


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(main(sys.argv[1:])) + "\n")
