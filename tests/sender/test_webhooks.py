"""What proves that a callback is the provider's."""

import hashlib
import hmac

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.sender.errors import WebhookSecretWrong
from services.sender.store import SenderStore
from services.sender.webhooks import Proof
from tests.conftest import TestMesh

BODY = b'[{"id": "1"}]'


def signature(secret: str, body: bytes = BODY) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_taken(body: bytes = BODY, **headers: str) -> bool:
    try:
        Proof(["new", "old"]).check({f"http-x-webhook-{name}": value for name, value in headers.items()}, body)
    except WebhookSecretWrong:
        return False
    return True


@pytest.mark.parametrize("secret", ["new", "old"])
def test_either_secret_proves_it_while_they_are_exchanged(secret: str) -> None:
    assert is_taken(secret=secret)
    assert is_taken(signature=signature(secret))
    assert is_taken(signature=signature(secret).upper())
    assert is_taken(secret="old", signature=signature(secret))


def test_nothing_else_does() -> None:
    assert not is_taken()
    assert not is_taken(secret="", signature="")
    for wrong in ("older", "ne", "NEW", "new,old", "new, old"):
        assert not is_taken(secret=wrong)
    for wrong in ("x", signature("other"), signature("new", BODY + b" "), "new"):
        assert not is_taken(signature=wrong)


def test_what_was_altered_on_its_way_is_refused_in_spite_of_its_secret() -> None:
    assert not is_taken(BODY.replace(b"1", b"2"), secret="new", signature=signature("new"))
    assert not is_taken(secret="wrong", signature=signature("new"))


async def test_an_error_of_the_database_shows_no_body(mesh: TestMesh) -> None:
    await mesh.service("sender")
    with pytest.raises(DBAPIError) as failed:
        async with SenderStore.open_pipeline(mesh.app("sender").database) as store:
            await store.connection.execute(text("SELECT length(:body) / 0"), {"body": "a customer's phone"})
    assert "customer" not in repr(failed.value) + str(failed.value)
