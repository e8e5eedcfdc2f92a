"""What the provider has posted."""

from datetime import datetime
from typing import Annotated

import typer

from astronote.sender.v1.sender_pb2 import ListQuarantinedReportsRequest, Message, ReplayWebhooksRequest
from astronote.sender.v1.sender_pb2_grpc import ReportsServiceStub
from ops.options import Limit
from ops.session import session

webhooks = typer.Typer(help="What the provider has posted.")
REPLAY_SECONDS = 120.0
FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d"]


@webhooks.command()
def quarantine(context: typer.Context, limit: Limit = 50) -> None:
    """Reports that can't be read, newest first."""
    ops, request = session(context), ListQuarantinedReportsRequest()
    found = ops.items(ReportsServiceStub, "ListQuarantinedReports", request, "reports", limit)
    ops.show(found, ["webhook_id", "position", "create_time", "reason", "item"])


@webhooks.command()
def replay(
    context: typer.Context,
    start: Annotated[datetime, typer.Option("--from", formats=FORMATS, help="UTC, by arrival.")],
    end: Annotated[datetime, typer.Option("--to", formats=FORMATS, help="UTC, left out.")],
) -> None:
    """Applies again what was posted in a range of time, and says what that changed."""
    ops, request = session(context), ReplayWebhooksRequest()
    request.start_time.FromDatetime(start)
    request.end_time.FromDatetime(end)
    bodies = reports = quarantined = 0
    changes: dict[str, int] = {}
    with ops.progress() as bar:
        task = bar.add_task("bodies", total=None)
        while True:
            answer = ops.ask(ReportsServiceStub, "ReplayWebhooks", request, seconds=REPLAY_SECONDS)
            bodies, reports = bodies + answer.bodies, reports + answer.reports
            quarantined += answer.quarantined
            for change in answer.changes:
                states = f"{Message.State.Name(change.from_state)} to {Message.State.Name(change.to_state)}"
                changes[states] = changes.get(states, 0) + change.count
            bar.update(task, completed=bodies)
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
    ops.answer({"bodies": bodies, "reports": reports, "quarantined": quarantined, "changes": changes})
