"""The road to the provider: what is unknown on it, and holding it."""

import time
from typing import Annotated

import typer

from astronote.sender.v1 import operations_pb2 as pb
from astronote.sender.v1.operations_pb2_grpc import RouteOperationsServiceStub
from ops.options import Limit, Yes
from ops.session import session

POLL_SECONDS = 1.0


def unknowns(context: typer.Context, limit: Limit = 200) -> None:
    """Submissions of which nobody knows what became of them."""
    ops, request = session(context), pb.ListUnknownAttemptsRequest()
    found = ops.items(RouteOperationsServiceStub, "ListUnknownAttempts", request, "attempts", limit)
    ops.show(found, ["id", "merchant_id", "campaign_id", "recipient_count", "finish_time", "detail"])


def drain(
    context: typer.Context,
    undo: Annotated[bool, typer.Option("--undo", help="Go on.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only look.")] = False,
    seconds_max: Annotated[int, typer.Option(help="Wait so long for what is in hand.")] = 120,
    yes: Yes = False,
) -> None:
    """Holds all submissions, of every merchant, and waits until none is in hand. Nothing is lost by it."""
    ops = session(context)
    if show:
        ops.tell(ops.ask(RouteOperationsServiceStub, "GetRoute", pb.GetRouteRequest()))
        return
    if undo:
        ops.tell(ops.ask(RouteOperationsServiceStub, "ResumeRoute", pb.ResumeRouteRequest()))
        return
    ops.confirm("Hold the submissions of all merchants?", yes=yes)
    deadline = time.monotonic() + seconds_max
    route = ops.ask(RouteOperationsServiceStub, "DrainRoute", pb.DrainRouteRequest())
    with ops.progress() as bar:
        task = bar.add_task("in hand", total=route.attempts_in_hand or None)
        while route.attempts_in_hand and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            before, route = route, ops.ask(RouteOperationsServiceStub, "GetRoute", pb.GetRouteRequest())
            bar.advance(task, max(0, before.attempts_in_hand - route.attempts_in_hand))
    ops.tell(route)
    if route.attempts_in_hand:
        ops.fail(f"{route.attempts_in_hand} submissions are still in hand.")
