"""The answer to a HELP: who texts here, and how that stops. A text as any other, paid for by the merchant; one a phone,
merchant and day, by its request id.
"""

import structlog

from astronote.sender.v1.sender_pb2 import SendMessageRequest
from kit import gsm
from kit.errors import DomainError, Unavailable
from kit.rows import AnyRow
from services.sender.singles import Merchants, Singles

COMPANY_LENGTH_MAX = 60
TEXT = "{company}: για διαγραφή απαντήστε ΣΤΟΠ. To stop our texts reply STOP."
log = structlog.get_logger()


class Answers:
    def __init__(self, merchants: Merchants, singles: Singles) -> None:
        self._merchants, self._singles = merchants, singles

    async def give(self, text: AnyRow) -> None:
        """Raises `Unavailable`: later. Where the merchant can't send, there is no answer."""
        merchant = await self._merchants.profile(str(text.merchant_id))
        answer = SendMessageRequest(to=text.phone, request_id=f"help {text.phone} {text.receive_time:%Y-%m-%d}")
        answer.text = gsm.to_gsm(TEXT.format(company=merchant.company[:COMPANY_LENGTH_MAX]))
        # Not from the number that was asked: whoever texts from a shared one would become its owner.
        answer.sender_name = merchant.sender_name
        try:
            await self._singles.send(str(text.merchant_id), answer)
        except Unavailable:
            raise
        except DomainError as refusal:
            log.info("no answer", merchant_id=str(text.merchant_id), reason=refusal.reason())
