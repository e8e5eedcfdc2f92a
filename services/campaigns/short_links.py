"""The links of a text that are counted: where each of them leads, and what stands in its place.

The place of a link is `/l/`, the code of the recipient and, from the second link on, its number: so they cost no codes
of their own, and the only link of a text, the usual case, is as short as can be.
"""

import re
from urllib.parse import quote, urlsplit

from services.campaigns.codes import LENGTH
from services.campaigns.errors import TextInvalid

PATH = "/l/"
# Its number is one digit.
LINKS_MAX = 9
# As far as a space, what no URL has in it, or a merge field; a full stop or a bracket after it is the sentence's.
URL = re.compile(r"https?://[^\s<>\"{}|\\^`]*[^\s<>\"{}|\\^`.,;:!?)\]}'»…]", re.IGNORECASE)
# What stands in a URL as it is (RFC 3986); an escape that is there stays one.
KEPT = "!#$%&'()*+,/:;=?@[]~-._"


def suffix(number: int) -> str:
    """What follows the code in the place of the link with this number, from 1."""
    return "" if number == 1 else str(number)


def parted(code: str) -> tuple[str, int]:
    """The code of the recipient, and the number of the link; 0 where there can be no such link."""
    code, number = code[:LENGTH], code[LENGTH:]
    if not number:
        return code, 1
    return code, int(number) if len(number) == 1 and number in "23456789" else 0


def location(url: str, field: str = "text") -> str:
    """The link in ASCII, as HTTP carries it. Refuses `TextInvalid`, with the link."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except ValueError as error:
        raise TextInvalid(field=field, link=url[:200], rule="no address of the web") from error
    if not host or parts.username is not None:
        raise TextInvalid(field=field, link=url[:200], rule="no address of the web")
    host = f"[{host}]" if ":" in host else host
    rest = url.split(parts.netloc, 1)[1]
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{quote(rest, safe=KEPT)}"
