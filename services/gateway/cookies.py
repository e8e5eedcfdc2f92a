"""Cookies that an answer sets, from the fields that its contract binds to one."""

import re
from collections.abc import Iterator

from google.protobuf.message import Message

from astronote.options.v1.options_pb2 import Cookie
from services.gateway.exchange import Header

VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")


def set_by(answer: Message, bound: list[tuple[str, Cookie]]) -> Iterator[Header]:
    """An empty field deletes its cookie. Raises `ValueError` for a value that no cookie can hold."""
    for field, cookie in bound:
        value = getattr(answer, field)
        if not VALUE.fullmatch(value):
            raise ValueError(f"{field} is no value for a cookie")
        age_seconds = cookie.age_seconds_max if value else 0
        age = f"; Max-Age={age_seconds}" if age_seconds or not value else ""
        text = f"{cookie.name}={value}{age}; Path=/; HttpOnly; Secure; SameSite=Strict"
        yield b"set-cookie", text.encode("ascii")
