"""Batches that do not come to an end."""

from typing import Annotated

import typer

from astronote.campaigns.v1.operations_pb2 import ListOpenBatchesRequest, PublishBatchesRequest
from astronote.campaigns.v1.operations_pb2_grpc import BatchOperationsServiceStub
from ops.options import Limit
from ops.session import session

batches = typer.Typer(help="Batches on their way to the senders.")
COLUMNS = ["id", "campaign_id", "merchant_id", "state", "recipient_count", "generation", "publish_time"]


@batches.command()
def stuck(
    context: typer.Context,
    generation_min: Annotated[int, typer.Option(min=0, help="Published so often; 0 shows all that are out.")] = 3,
    limit: Limit = 200,
) -> None:
    """Batches that were published again and again and are not done."""
    ops, request = session(context), ListOpenBatchesRequest(generation_min=generation_min)
    ops.show(ops.items(BatchOperationsServiceStub, "ListOpenBatches", request, "batches", limit), COLUMNS)


@batches.command()
def publish(context: typer.Context, ids: list[int]) -> None:
    """Publishes batches at once. Nobody is texted twice by it. The code is 1 where not all of them could be."""
    ops = session(context)
    answer = ops.ask(BatchOperationsServiceStub, "PublishBatches", PublishBatchesRequest(ids=ids))
    ops.tell(answer)
    if answer.published < len(ids):
        ops.fail(f"{len(ids) - answer.published} are done, or were never published.")
