"""The RPCs of the lists."""

from collections.abc import Sequence

from google.protobuf.empty_pb2 import Empty

from astronote.contacts.v1 import lists_pb2 as pb
from astronote.contacts.v1 import lists_pb2_grpc as rpc
from kit import caller, pages, rows
from kit.interceptors import Context
from kit.store import Database
from services.contacts import fields
from services.contacts.errors import ListInvalid, TooManyContacts
from services.contacts.store import ContactsStore
from services.contacts.store.contacts import Filter

WRITABLE = frozenset({"name"})
CONTACTS_MAX = 5_000


class Lists(rpc.ListsServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateList(self, request: pb.CreateListRequest, context: Context) -> pb.List:
        name = _name(request.list)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return await store.create_list(name)

    async def GetList(self, request: pb.GetListRequest, context: Context) -> pb.List:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return await store.list_by_id(request.id)

    async def ListLists(self, request: pb.ListListsRequest, context: Context) -> pb.ListListsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.uuid)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            found = await store.list_page(after, limit)
        return pb.ListListsResponse(lists=found, next_page_token=pages.token(found, limit, lambda each: each.id))

    async def UpdateList(self, request: pb.UpdateListRequest, context: Context) -> pb.List:
        is_named = bool(rows.paths(request.update_mask, request.list, WRITABLE))
        name = _name(request.list) if is_named else ""
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return await (store.rename_list(request.list.id, name) if is_named else store.list_by_id(request.list.id))

    async def DeleteList(self, request: pb.DeleteListRequest, context: Context) -> Empty:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.delete_list(request.id)
        return Empty()

    async def ListListContacts(
        self, request: pb.ListListContactsRequest, context: Context
    ) -> pb.ListListContactsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.uuid)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.check_list(request.id)
            found = await store.contact_page([after] if after else None, limit, Filter(list_id=request.id))
        token = pages.token(found, limit, lambda each: each.id)
        return pb.ListListContactsResponse(contacts=found, next_page_token=token)

    async def AddListContacts(self, request: pb.AddListContactsRequest, context: Context) -> pb.AddListContactsResponse:
        check_contacts(request.contact_ids)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return pb.AddListContactsResponse(added=await store.add_to_list(request.id, request.contact_ids))

    async def RemoveListContacts(
        self, request: pb.RemoveListContactsRequest, context: Context
    ) -> pb.RemoveListContactsResponse:
        check_contacts(request.contact_ids)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return pb.RemoveListContactsResponse(removed=await store.remove_from_list(request.id, request.contact_ids))


def _name(named: pb.List) -> str:
    """Refuses `ListInvalid`."""
    try:
        name = fields.name(named.name)
    except fields.Wrong as wrong:
        raise ListInvalid(field="list.name", problem=wrong.problem) from wrong
    if not name:
        raise ListInvalid(field="list.name", problem=fields.INVALID)
    return name


def check_contacts(contact_ids: Sequence[str]) -> None:
    """Refuses `TooManyContacts`."""
    if len(contact_ids) > CONTACTS_MAX:
        raise TooManyContacts(field="contact_ids", contacts_max=CONTACTS_MAX)
