"""A tenant sees only itself: every method of every contract, with every id of another merchant; and below that, the
database, where a query that forgets its merchant finds nothing.
"""

import re
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import psycopg
import pytest
from google.api.field_behavior_pb2 import OUTPUT_ONLY, field_behavior
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from astronote.options.v1.options_pb2 import Access, access
from deploy.local.mitto import MittoStandIn
from deploy.local.stripe import StripeStandIn
from tests.conftest import SERVICES, SETTINGS, TestMesh
from tests.test_architecture import METHODS, name
from tests.victim import CANARY, PHONE, Victim, populate

# One victim for all of it.
pytestmark = pytest.mark.xdist_group("isolation")
# Dead letters are for operators alone, in every service (`ops/served.py`).
TENANT_METHODS = [
    method
    for method in METHODS
    if method.GetOptions().Extensions[access].caller in (Access.MERCHANT, Access.INTERNAL)
    and method.containing_service.file.package != "astronote.operations.v1"
]


@pytest.fixture(scope="module")
async def victim(mesh: TestMesh) -> AsyncIterator[Victim]:
    key = SETTINGS["sender"]["mitto_api_key"]
    async with (
        MittoStandIn(api_key=key, callback_url="http://127.0.0.1:9", callback_secret="s") as mitto,
        StripeStandIn(secret_key=SETTINGS["wallet"]["stripe_secret_key"]) as stripe,
        mesh.with_settings("wallet", welcome_credits=1000, welcome_plan="starter", stripe_api_base=stripe.url),
        mesh.with_settings("sender", mitto_api_base=mitto.url),
    ):
        yield await populate(mesh)


@pytest.mark.parametrize("own_filter", [True, False], ids=["own filter", "row-level security alone"])
@pytest.mark.parametrize("method", TENANT_METHODS, ids=name)
async def test_no_method_shows_or_changes_what_is_another_merchants(
    method: MethodDescriptor, own_filter: bool, victim: Victim, mesh: TestMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not own_filter:
        monkeypatch.setattr(psycopg.AsyncCursor, "execute", without_own_filter)
    stranger, before = str(uuid.uuid4()), state_of(mesh, victim)
    for request in requests(method, victim):
        code, shown = await answered(mesh, method, request, stranger)
        assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (request, shown)
        assert CANARY not in shown, request
        assert PHONE not in shown or PHONE in str(request), request
    assert state_of(mesh, victim) == before


OWN_FILTER = re.compile(r"(\w+\.merchant_id = %\(\w+\)s(?:::\w+)?)")
execute = psycopg.AsyncCursor.execute
taken_out: set[str] = set()


async def without_own_filter(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
    """A service's statement as if it had forgotten its merchant. Its own jobs, which work across merchants, go on."""
    is_text = isinstance(query, str | bytes)
    if is_text and not cursor.connection.info.user.endswith("_pipeline"):
        text = query.decode() if isinstance(query, bytes) else query
        found, count = OWN_FILTER.subn(r"(\1 OR true)", text)
        if count:
            taken_out.add(text)
            query = found.encode() if isinstance(query, bytes) else found
    return await execute(cursor, query, *arguments, **options)


def test_the_filter_was_taken_out_of_many_statements() -> None:
    """Otherwise the matrix above would have said the same twice."""
    assert len(taken_out) > 15, taken_out


async def answered(
    mesh: TestMesh, method: MethodDescriptor, request: Message, merchant_id: str
) -> tuple[grpc.StatusCode, str]:
    """How it ended, and all that was shown."""
    try:
        answers = await call(mesh, method, request, merchant_id)
    except grpc.aio.AioRpcError as error:
        return error.code(), f"{error.details()} {error.trailing_metadata()}"
    return grpc.StatusCode.OK, "".join(str(answer) for answer in answers)


def requests(method: MethodDescriptor, victim: Victim) -> Iterator[Message]:
    """A plausible request for every id of the victim."""
    cls = GetMessageClass(method.input_type)
    for id in victim.codes if "code" in method.input_type.fields_by_name else victim.ids:
        for number in victim.numbers:
            request = cls()
            fill(request, id, number)
            yield request
        if resource := next((name for name in TEMPLATED if name in method.input_type.fields_by_name), ""):
            # A text may come from a template as well, and then from nowhere else.
            getattr(request, resource).template_id, getattr(request, resource).text = id, ""
            yield request


TEMPLATED = [
    field.name for method in TENANT_METHODS for field in method.input_type.fields
    if field.message_type is not None and "template_id" in field.message_type.fields_by_name
]  # fmt: skip


@pytest.mark.parametrize("method", TENANT_METHODS, ids=name)
def test_every_field_that_may_hold_an_id_is_tried(method: MethodDescriptor) -> None:
    """Whoever adds an id to a request meets the matrix: by its name, or by a line in `ids_of` or `text_of`."""
    for field in id_fields(method.input_type, ()):
        is_filled = field.name in ids_of("x", 1) if field.is_repeated else text_of(field.name, "x") == "x"
        assert is_filled or field.type == FieldDescriptor.TYPE_INT64 or field.name == "template_id", field.full_name


def id_fields(message: Descriptor, above: tuple[str, ...]) -> Iterator[FieldDescriptor]:
    for field in message.fields:
        nested = field.message_type
        if nested is not None and nested.full_name.startswith("astronote.") and nested.full_name not in above:
            yield from id_fields(nested, (*above, nested.full_name))
        elif nested is None and is_id(field):
            yield field


def is_id(field: FieldDescriptor) -> bool:
    is_named = re.search(r"(^|_)(id|ids|code|codes)$", field.name) and field.name != "request_id"
    return bool(is_named) and OUTPUT_ONLY not in field.GetOptions().Extensions[field_behavior]


def fill(message: Message, id: str, number: int) -> None:
    """Ids everywhere that an id may stand, and something sensible everywhere else."""
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            if value := ids_of(id, number).get(field.name):
                getattr(message, field.name).append(value)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            # Not a rule's own rule, which would have no end.
            if field.message_type.full_name.startswith("astronote.") and field.message_type is not message.DESCRIPTOR:
                fill(getattr(message, field.name), id, number)
                getattr(message, field.name).SetInParent()
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, text_of(field.name, id))
        elif field.type == FieldDescriptor.TYPE_INT64:
            setattr(message, field.name, number)
        elif field.type == FieldDescriptor.TYPE_INT32:
            setattr(message, field.name, 1)
        elif field.type == FieldDescriptor.TYPE_BOOL:
            # The import itself, not what it would do.
            setattr(message, field.name, field.name != "validate_only")


def ids_of(id: str, number: int) -> dict[str, Any]:
    """Repeated fields, by name."""
    named = dict.fromkeys(("contact_ids", "list_ids", "exclude_list_ids", "exclude_segment_ids"), id)
    return {**named, "batch_ids": number, "phones": PHONE, "calling_codes": "+30"}


def text_of(field: str, id: str) -> str:
    if field in ("phone", "to"):
        return PHONE
    if field in ("id", "code", "in_list") or (field.endswith("_id") and field not in ("request_id", "template_id")):
        return id
    return {"name": "Mine", "text": "Mine", "source": "test", "key": "k"}.get(field, "")


async def call(mesh: TestMesh, method: MethodDescriptor, request: Message, merchant_id: str) -> list[Message]:
    """As the stranger, through whoever may call the method."""
    rule = method.GetOptions().Extensions[access]
    is_merchants = rule.caller == Access.MERCHANT
    service = method.containing_service.file.package.split(".")[1]
    peer = await mesh.service(service, caller="gateway" if is_merchants else rule.services[0])
    path, answer = f"/{method.containing_service.full_name}/{method.name}", GetMessageClass(method.output_type)
    codec: dict[str, Any] = {
        "request_serializer": lambda message: message.SerializeToString(),
        "response_deserializer": answer.FromString,
    }
    options = {"metadata": peer.metadata(merchant_id, "merchant" if is_merchants else "service"), "timeout": 10}
    if method.server_streaming:
        return [message async for message in peer.channel.unary_stream(path, **codec)(request, **options)]
    if method.client_streaming:
        return [await peer.channel.stream_unary(path, **codec)(iter([request]), **options)]
    return [await peer.channel.unary_unary(path, **codec)(request, **options)]


def state_of(mesh: TestMesh, victim: Victim) -> dict[str, str]:
    """A digest of all rows of the victim, by table."""
    digests = {}
    for service in SERVICES:
        with psycopg.connect(mesh.database(service).pipeline_url.replace("+psycopg", "")) as connection:
            for table, column in tenant_tables(connection):
                # Leases and clocks of the road's own work move by themselves.
                query = f"""
                    SELECT count(*), string_agg(row, '' ORDER BY row) FROM (
                        SELECT (to_jsonb(t) - %s::text[])::text AS row FROM "{table}" t WHERE t.{column} = %s
                    ) rows
                """
                digests[f"{service}.{table}"] = str(connection.execute(query, [MOVING, victim.merchant_id]).fetchone())
    return digests


MOVING = ["news_time", "close_time", "lease_expire_time", "claim_expire_time", "try_time"]


def changed(connection: Any, statement: str) -> int:
    """Rows that a statement changed; none where the table refuses it altogether."""
    try:
        return int(connection.execute(statement).rowcount)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException, psycopg.errors.IntegrityError):
        return 0


def tenant_tables(connection: Any) -> list[tuple[str, str]]:
    query = """
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
          AND (a.attname = 'merchant_id' OR (c.relname = 'merchants' AND a.attname = 'id'))
    """
    return list(connection.execute(query).fetchall())


@pytest.mark.parametrize("service", SERVICES)
async def test_a_query_that_forgets_its_merchant_finds_and_changes_nothing(
    service: str, victim: Victim, mesh: TestMesh
) -> None:
    url = mesh.database(service).url.replace("+psycopg", "")
    seen = 0
    with psycopg.connect(url, autocommit=True) as connection:
        tables = tenant_tables(connection)
        for merchant in ("", str(uuid.uuid4())):
            connection.execute("SELECT set_config('astronote.merchant_id', %s, false)", [merchant])
            for table, column in tables:
                assert connection.execute(f'SELECT count(*) FROM "{table}"').fetchone() == (0,), table
                for statement in (f'UPDATE "{table}" SET {column} = {column}', f'DELETE FROM "{table}"'):
                    assert changed(connection, statement) == 0, statement
        connection.execute("SELECT set_config('astronote.merchant_id', %s, false)", [victim.merchant_id])
        seen = sum(connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table, _ in tables)
    assert seen > 0, "the victim has rows, so the check above could have failed"
