"""Emails and passwords: their shape, and how a password is kept.

argon2id with 19 MiB, two passes, one lane (OWASP's floor) takes about 50 ms of a core: off the event loop, in a pool
of a fixed size with a bounded queue, so that a storm of logins costs the logins only.
"""

import asyncio
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from services.accounts.errors import EmailInvalid, LoginsBusy, PasswordInvalid

Result = TypeVar("Result")
EMAIL_LENGTH_MAX = 254
PASSWORD_LENGTH_MIN, PASSWORD_LENGTH_MAX = 10, 128
WAITING_MAX = 200
_EMAIL = re.compile(r'[^@\s"(),:;<>\[\]\\]{1,64}@(?:\w(?:[\w-]{0,61}\w)?\.)+\w(?:[\w-]{0,61}\w)')
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def email(text: str) -> str:
    """In the one form that is kept and looked up. Refuses `EmailInvalid`."""
    normal = normal_email(text)
    if len(normal) > EMAIL_LENGTH_MAX or not _EMAIL.fullmatch(normal):
        raise EmailInvalid(field="email")
    return normal


def normal_email(text: str) -> str:
    """Empty where there is something in it that nobody can see."""
    normal = unicodedata.normalize("NFKC", text[: 2 * EMAIL_LENGTH_MAX].strip()).lower()
    return normal if normal.isprintable() else ""


def password(text: str, field: str = "password") -> str:
    """Refuses `PasswordInvalid`."""
    if not PASSWORD_LENGTH_MIN <= len(text) <= PASSWORD_LENGTH_MAX:
        raise PasswordInvalid(field=field, length_min=PASSWORD_LENGTH_MIN, length_max=PASSWORD_LENGTH_MAX)
    return text


class Passwords:
    """Hashes and checks, a few at once."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._waiting = 0
        # What an unknown email is checked against, so that it takes as long as a wrong password.
        self._nobody = _HASHER.hash("nobody")

    async def hash(self, password: str) -> str:
        return await self._run(lambda: _HASHER.hash(_bytes(password)))

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Takes the same time whether or not there is a hash."""
        # One character more than any password has: an endless one costs no more and still does not match.
        text = _bytes(password[: PASSWORD_LENGTH_MAX + 1])
        is_equal = await self._run(lambda: _verified(password_hash or self._nobody, text))
        return is_equal and password_hash is not None

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= WAITING_MAX:
            raise LoginsBusy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def _verified(password_hash: str, password: bytes) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except VerifyMismatchError:
        return False


def _bytes(password: str) -> bytes:
    """The same letters are the same password, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password).encode()
