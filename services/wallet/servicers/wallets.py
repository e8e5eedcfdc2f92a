"""The RPCs of the wallet: check, open one transaction, move, answer.

Where credits move, the key is looked up only under the lock that serializes it (see `store`).
"""

import hashlib
import uuid
from datetime import UTC, datetime

from google.protobuf.message import Message

from astronote.wallet.v1 import wallet_pb2 as pb
from astronote.wallet.v1 import wallet_pb2_grpc as rpc
from kit import caller, pages, rows
from kit.interceptors import Context
from kit.store import Database
from services.wallet import expiry, guards, ledger, low_balance
from services.wallet.entitlement import Terms
from services.wallet.errors import HoldIdInvalid, HoldNotFound, KeyInvalid, ReasonInvalid, WalletNotFound
from services.wallet.store import WalletStore
from services.wallet.store.journals import Journal
from services.wallet.welcome import Welcome

KEY_LENGTH_MAX = 200
REASON_LENGTH_MAX = 500


class Wallets(rpc.WalletServiceServicer):
    def __init__(self, database: Database, welcome: Welcome, terms: Terms) -> None:
        self._database, self._welcome, self._terms = database, welcome, terms

    async def GetWallet(self, request: pb.GetWalletRequest, context: Context) -> pb.Wallet:
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            await self._welcome.open(store, datetime.now(UTC))
            return await self._shown(store, await store.wallet())

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            found = await store.transactions(after, limit)
        token = pages.token(found, limit, lambda item: item[0])
        return pb.ListTransactionsResponse(transactions=[shown for _, shown in found], next_page_token=token)

    async def ListHolds(self, request: pb.ListHoldsRequest, context: Context) -> pb.ListHoldsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            found = await store.holds(after, limit)
        token = pages.token(found, limit, lambda item: item[0])
        return pb.ListHoldsResponse(holds=[shown for _, shown in found], next_page_token=token)

    async def GrantCredits(self, request: pb.GrantCreditsRequest, context: Context) -> pb.Wallet:
        merchant_id = rows.uuid(request.merchant_id, WalletNotFound)
        if not _is_text(request.reason, REASON_LENGTH_MAX):
            raise ReasonInvalid(field="reason")
        journal = _journal(
            f"grant:{_key('request_id', request.request_id)}", request, pb.Transaction.GRANT, reason=request.reason
        )
        # The operator names the merchant, and the transaction is that merchant's.
        async with WalletStore.open(self._database, merchant_id) as store:
            wallet = await store.locked_wallet()
            if answer := await store.booked(journal.key, journal.request_hash, pb.Wallet):
                return answer
            if request.HasField("expire_time"):
                until = request.expire_time.ToDatetime(tzinfo=UTC)
                await expiry.begin(store, wallet, request.amount, until, journal)
            movement = ledger.grant(wallet, request.amount)
            return await store.book(journal, movement, await self._shown(store, ledger.after(wallet, movement)))

    async def Hold(self, request: pb.HoldRequest, context: Context) -> pb.HoldRecord:
        hold_id = rows.uuid(request.hold_id, HoldIdInvalid)
        hold = ledger.opened(hold_id, request.amount)
        # Where it goes is no part of what is booked: a caller of the release before did not say so.
        asked = pb.HoldRequest(hold_id=request.hold_id, amount=request.amount)
        journal = _journal(f"hold:{hold_id}", asked, pb.Transaction.HOLD, hold_id=hold_id)
        hold.create_time.FromDatetime(journal.create_time)
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            await self._welcome.open(store, journal.create_time)
            if not await store.add_hold(hold, journal.create_time) and (answer := await _before(store, journal)):
                return answer
            means = await store.means(request.amount, journal.create_time)
            guards.check(means, request.amount, request.destinations)
            ledger.check_affordable(means.available, request.amount, means.debt)
            left = means.available - request.amount
            await low_balance.tell(store, means.available, left, means.low_balance_credits)
            return await store.book(journal, ledger.between(pb.HoldRecord(), hold), hold)

    async def Settle(self, request: pb.SettleRequest, context: Context) -> pb.HoldRecord:
        hold_id = rows.uuid(request.hold_id, HoldNotFound)
        key = f"settle:{hold_id}:{_key('key', request.key)}"
        journal = _journal(key, request, pb.Transaction.SETTLE, hold_id=hold_id)
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            hold = await store.locked_hold(hold_id)
            if answer := await _before(store, journal):
                return answer
            settled = ledger.settled(hold, request.capture, request.release)
            return await _changed(store, journal, hold, settled)

    async def CloseHold(self, request: pb.CloseHoldRequest, context: Context) -> pb.HoldRecord:
        hold_id = rows.uuid(request.hold_id, HoldNotFound)
        journal = _journal(f"close:{hold_id}", request, pb.Transaction.CLOSE, hold_id=hold_id)
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            hold = await store.locked_hold(hold_id)
            if answer := await _before(store, journal):
                return answer
            return await _changed(store, journal, hold, ledger.closed(hold, request.captured))

    async def GetEntitlement(self, request: pb.GetEntitlementRequest, context: Context) -> pb.Entitlement:
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            await self._welcome.open(store, datetime.now(UTC))
            subscription = await store.subscription()
        return pb.Entitlement(campaigns=self._terms.is_entitled(subscription, datetime.now(UTC)))

    async def _shown(self, store: WalletStore, wallet: pb.Wallet) -> pb.Wallet:
        wallet.subscription.CopyFrom(await store.subscription())
        if end := self._terms.grace_end_time(wallet.subscription):
            wallet.subscription.grace_end_time.FromDatetime(end)
        return wallet


async def _before(store: WalletStore, journal: Journal) -> pb.HoldRecord | None:
    return await store.booked(journal.key, journal.request_hash, pb.HoldRecord)


async def _changed(store: WalletStore, journal: Journal, before: pb.HoldRecord, after: pb.HoldRecord) -> pb.HoldRecord:
    await store.change_hold(after, given_back=after.released - before.released)
    return await store.book(journal, ledger.between(before, after), after)


def _journal(
    key: str, request: Message, kind: "pb.Transaction.Kind.ValueType", *, hold_id: str = "", reason: str = ""
) -> Journal:
    request_hash = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return Journal(str(uuid.uuid4()), key, request_hash, kind, datetime.now(UTC), hold_id or None, reason)


def _key(field: str, key: str) -> str:
    if not _is_text(key, KEY_LENGTH_MAX):
        raise KeyInvalid(field=field, length_max=KEY_LENGTH_MAX)
    return key


def _is_text(text: str, length_max: int) -> bool:
    return 1 <= len(text) <= length_max and text.isprintable()
