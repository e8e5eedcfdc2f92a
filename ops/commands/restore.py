"""After the databases went back to a point in time: the steps of docs/backup.md, each of which may be done again."""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated

import orjson
import typer

from astronote.contacts.v1.operations_pb2 import RepeatWithdrawalsRequest, Withdrawal
from astronote.contacts.v1.operations_pb2_grpc import ConsentOperationsServiceStub
from astronote.operations.v1.restore_pb2 import StopForgottenRequest
from astronote.operations.v1.restore_pb2_grpc import RestoreServiceStub
from astronote.wallet.v1.billing_pb2 import RepairStripeEventsRequest
from astronote.wallet.v1.billing_pb2_grpc import StripeEventsServiceStub
from ops.options import Yes
from ops.session import Session, session

restore = typer.Typer(help="After the databases went back to a point in time: docs/backup.md.")
# Campaigns first: what they cancel, the sender then ends.
STOPPED = ("campaigns", "sender")
STOP_SECONDS, REPAIR_SECONDS, POLL_SECONDS = 120.0, 120.0, 1.0
WITHDRAWALS_A_CALL = 500
# Clocks of different machines.
OVERLAP = timedelta(minutes=5)
EVENT = "consent withdrawn"
FORMATS = ["%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S"]
To = Annotated[
    datetime, typer.Option("--to", formats=FORMATS, help="UTC: the instant that the databases went back to.")
]


@restore.command()
def stop(
    context: typer.Context,
    to: To,
    seconds_max: Annotated[int, typer.Option(help="Wait so long for what was in hand.")] = 300,
    yes: Yes = False,
) -> None:
    """Ends all that may have been sent since, and holds all submissions. Contacts has to be away: without it nobody is
    texted.
    """
    ops, to = session(context), to.replace(tzinfo=UTC)
    ops.confirm(f"Cancel every campaign, start and single text that was going on or due since {to}?", yes=yes)
    request, stopped, deadline = StopForgottenRequest(), dict[str, int](), time.monotonic() + seconds_max
    request.restore_time.FromDatetime(to)
    with ops.progress() as bar:
        task = bar.add_task("in hand", total=None)
        while True:
            answers = [
                ops.ask(RestoreServiceStub, "StopForgotten", request, service=service, seconds=STOP_SECONDS)
                for service in STOPPED
            ]
            for answer in answers:
                for name, count in answer.stopped.items():
                    stopped[name] = stopped.get(name, 0) + count
            in_hand = sum(answer.attempts_in_hand for answer in answers)
            bar.update(task, completed=in_hand)
            request.goes_on = True
            if any(answer.stopped for answer in answers):
                continue
            if not in_hand or time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
    ops.answer({"stopped": stopped, "attempts_in_hand": in_hand})
    if in_hand:
        ops.fail(f"{in_hand} submissions are still in hand: once more.")


@restore.command()
def opt_outs(context: typer.Context, to: To, logs: list[Path]) -> None:
    """Enters the opt-outs and erasures again that contacts has logged since, from files of its log lines."""
    ops, withdrawn, erased, read = session(context), 0, 0, 0
    said = _said(ops, logs, (to - OVERLAP).isoformat())
    while some := list(islice(said, WITHDRAWALS_A_CALL)):
        request = RepeatWithdrawalsRequest(withdrawals=some)
        answer = ops.ask(ConsentOperationsServiceStub, "RepeatWithdrawals", request)
        read, withdrawn, erased = read + len(some), withdrawn + answer.withdrawn, erased + answer.erased
    ops.answer({"read": read, "withdrawn": withdrawn, "erased": erased})


@restore.command()
def payments(context: typer.Context, to: To) -> None:
    """Asks Stripe for what happened since, and credits it. The wallet does so by itself each night."""
    ops, request = session(context), RepairStripeEventsRequest()
    request.start_time.FromDatetime(to - OVERLAP)
    request.end_time.FromDatetime(datetime.now(UTC) + OVERLAP)
    ops.tell(ops.ask(StripeEventsServiceStub, "RepairStripeEvents", request, seconds=REPAIR_SECONDS))


def _said(ops: Session, logs: Iterable[Path], since: str) -> Iterator[Withdrawal]:
    """Lines that are no JSON are of somebody else."""
    for file in logs:
        try:
            with file.open("rb") as lines:
                for line in lines:
                    said = _line(line)
                    if said.get("event") == EVENT and said.get("timestamp", "") >= since:
                        yield Withdrawal(**{name: said[name] for name in ("merchant_id", "person", "source")})
        except OSError as error:
            ops.fail(f"{file}: {error.strerror}")


def _line(line: bytes) -> dict[str, str]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
