"""Who is asking, as the assertion of the call says. The interceptor sets it, servicers read it."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The service that calls, in what role (`public`, `merchant`, `webhook`, `operator`, `service`), and for whom.

    `merchant_id` is a UUID, or empty where the call is for no merchant. A merchant's call comes from a user or from one
    of its API keys.
    """

    service: str
    role: str
    merchant_id: str = ""
    user_id: str = ""
    api_key_id: str = ""


_current: ContextVar[Caller] = ContextVar("caller")
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_client_address: ContextVar[str] = ContextVar("client_address", default="")
_client_agent: ContextVar[str] = ContextVar("client_agent", default="")
_client_purpose: ContextVar[str] = ContextVar("client_purpose", default="")


def current() -> Caller:
    return _current.get()


def merchant_id() -> str:
    """The merchant of the call in hand. The interceptor has made sure that there is one."""
    return _current.get().merchant_id


def request_id() -> str:
    """The id that follows a request through the mesh and its logs; empty outside of one."""
    return _request_id.get()


def client_address() -> str:
    """The IP address that the gateway was asked from; empty where it was not the gateway that called."""
    return _client_address.get()


def client_agent() -> str:
    """The `User-Agent` that the gateway was asked with."""
    return _client_agent.get()


def client_purpose() -> str:
    """`head`, or what the client says of a prefetch; empty where a person waits for the answer."""
    return _client_purpose.get()


def enter(
    caller: Caller, request_id: str, client_address: str = "", client_agent: str = "", client_purpose: str = ""
) -> None:
    _current.set(caller)
    _request_id.set(request_id)
    _client_address.set(client_address)
    _client_agent.set(client_agent)
    _client_purpose.set(client_purpose)
