"""The RPCs that operators have of contacts."""

from itertools import groupby

from astronote.contacts.v1 import operations_pb2 as pb
from astronote.contacts.v1 import operations_pb2_grpc as rpc
from kit import pages, rows
from kit.interceptors import Context
from kit.store import Database
from services.contacts import suppression
from services.contacts.errors import ContactInvalid, TooManyPhones
from services.contacts.servicers import privacy
from services.contacts.servicers.audiences import check_source, withdraw
from services.contacts.store import ContactsStore
from services.contacts.suppression import PhoneHash


class Operations(rpc.ConsentOperationsServiceServicer):
    def __init__(self, database: Database, hashed: PhoneHash) -> None:
        self._database, self._hashed = database, hashed

    async def RepeatWithdrawals(
        self, request: pb.RepeatWithdrawalsRequest, context: Context
    ) -> pb.RepeatWithdrawalsResponse:
        """A transaction a merchant: where one fails, the whole is said again, and meets what is done."""
        if len(request.withdrawals) > pages.SIZE_MAX:
            raise TooManyPhones(field="withdrawals", phones_max=pages.SIZE_MAX)
        said = sorted(_checked(each) for each in request.withdrawals)
        answer = pb.RepeatWithdrawalsResponse()
        for merchant_id, theirs in groupby(said, key=lambda each: each[0]):
            async with ContactsStore.open(self._database, merchant_id) as store:
                for _, phone_hash, source in theirs:
                    person = await store.lock_person(phone_hash)
                    if person and source == privacy.SOURCE:
                        await privacy.erase(store, self._hashed, person)
                        answer.erased += 1
                    else:
                        answer.withdrawn += await withdraw(store, person, phone_hash, source)
        return answer


def _checked(said: pb.Withdrawal) -> tuple[str, bytes, str]:
    """Merchant, person, source. Refuses `ContactInvalid`."""
    check_source(said.source)
    if not rows.is_uuid(said.merchant_id):
        raise ContactInvalid(field="merchant_id", problem="no id")
    try:
        phone_hash = bytes.fromhex(said.person)
    except ValueError:
        phone_hash = b""
    if len(phone_hash) != suppression.HASH_BYTES:
        raise ContactInvalid(field="person", problem=f"expected {2 * suppression.HASH_BYTES} figures")
    return said.merchant_id, phone_hash, said.source
