"""The RPCs of the merchant's forms."""

import io
import secrets
from collections.abc import Callable
from typing import Any

import segno
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty

from astronote.contacts.v1 import forms_pb2 as pb
from astronote.contacts.v1 import forms_pb2_grpc as rpc
from kit import caller, pages, rows
from kit.interceptors import Context
from kit.store import Database
from services.contacts import fields
from services.contacts.consent import WORDING_LENGTH_MAX
from services.contacts.errors import FormInvalid
from services.contacts.form_pages import WORDS
from services.contacts.search import CONTROL
from services.contacts.store import ContactsStore
from services.contacts.store.forms import FormRow

WRITABLE = ("title", "wording", "language", "list_id", "tags", "double_opt_in")
# 96 bits, which nobody finds by trying.
CODE_BYTES = 12
# A module of the printed code, in pixels.
QR_SCALE = 10


class Forms(rpc.FormsServiceServicer):
    def __init__(self, database: Database, base_url: str) -> None:
        self._database, self._base_url = database, base_url

    async def CreateForm(self, request: pb.CreateFormRequest, context: Context) -> pb.Form:
        values = _values(request.form, WRITABLE) | {"code": secrets.token_urlsafe(CODE_BYTES)}
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            if values["list_id"]:
                await store.check_list(values["list_id"])
            return self._form(await store.add_form(values))

    async def GetForm(self, request: pb.GetFormRequest, context: Context) -> pb.Form:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return self._form(await store.form(request.id))

    async def ListForms(self, request: pb.ListFormsRequest, context: Context) -> pb.ListFormsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.uuid)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            found = await store.form_page(after, limit)
        token = pages.token(found, limit, lambda row: row["id"])
        return pb.ListFormsResponse(forms=[self._form(row) for row in found], next_page_token=token)

    async def UpdateForm(self, request: pb.UpdateFormRequest, context: Context) -> pb.Form:
        values = _values(request.form, rows.paths(request.update_mask, request.form, frozenset(WRITABLE)))
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            if values.get("list_id"):
                await store.check_list(values["list_id"])
            return self._form(await store.update_form(request.form.id, values))

    async def DeleteForm(self, request: pb.DeleteFormRequest, context: Context) -> Empty:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.delete_form(request.id)
        return Empty()

    async def GetFormQr(self, request: pb.GetFormQrRequest, context: Context) -> HttpBody:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            url = self._form(await store.form(request.id)).url
        image, drawn = segno.make_qr(url, error="m"), io.BytesIO()
        is_png = request.format == pb.GetFormQrRequest.PNG
        image.save(drawn, kind="png" if is_png else "svg", scale=QR_SCALE)
        return HttpBody(content_type="image/png" if is_png else "image/svg+xml", data=drawn.getvalue())

    def _form(self, row: FormRow) -> pb.Form:
        shown = {name: row[name] for name in pb.Form.DESCRIPTOR.fields_by_name if name in row}
        return pb.Form(**shown, url=f"{self._base_url}/f/{row['code']}")


def _values(form: pb.Form, paths: Any) -> dict[str, Any]:
    """Column values of the named fields. Refuses `FormInvalid`."""
    checks: dict[str, Callable[[], Any]] = {
        "title": lambda: fields.name(form.title) or _wrong(),
        "wording": lambda: _wording(form.wording),
        "language": lambda: _known(form.language or "el"),
        "list_id": lambda: form.list_id,
        "tags": lambda: fields.tags(form.tags),
        "double_opt_in": lambda: form.double_opt_in,
    }
    values = {}
    for name in paths:
        try:
            values[name] = checks[name]()
        except fields.Wrong as wrong:
            raise FormInvalid(field=f"form.{name}", problem=wrong.problem) from wrong
    return values


def _wording(text: str) -> str:
    text = text.strip()
    if len(text) > WORDING_LENGTH_MAX:
        raise fields.Wrong(fields.TOO_LONG)
    if not text or CONTROL.search(text.replace("\n", " ")):
        raise fields.Wrong(fields.INVALID)
    return text


def _known(language: str) -> str:
    return language if language in WORDS else _wrong()


def _wrong() -> Any:
    raise fields.Wrong(fields.INVALID)
