"""The answer to a HELP that can't be given now is given later."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from kit.errors import DomainError
from kit.store import Contended
from services.sender.errors import InsufficientCredits, MerchantUnavailable
from services.sender.help import Answers

TEXT: Any = SimpleNamespace(merchant_id="7", phone="+306900000001", receive_time=datetime(2026, 1, 1, tzinfo=UTC))


class Refusing:
    def __init__(self, error: DomainError) -> None:
        self._error = error

    async def profile(self, merchant_id: str) -> SimpleNamespace:
        return SimpleNamespace(company="Shop", sender_name="Shop")

    async def send(self, merchant_id: str, answer: object) -> None:
        raise self._error


@pytest.mark.parametrize("away", [Contended, MerchantUnavailable])
async def test_who_is_away_is_asked_again(away: type[DomainError]) -> None:
    refusing: Any = Refusing(away())
    with pytest.raises(away):
        await Answers(refusing, refusing).give(TEXT)


async def test_a_merchant_who_can_not_pay_gives_no_answer() -> None:
    refusing: Any = Refusing(InsufficientCredits())
    await Answers(refusing, refusing).give(TEXT)
