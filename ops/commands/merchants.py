"""Who is a merchant, and credits that are given."""

import uuid
from typing import Annotated

import typer

from astronote.accounts.v1.operations_pb2 import ListMerchantsRequest
from astronote.accounts.v1.operations_pb2_grpc import AccountOperationsServiceStub
from astronote.wallet.v1.wallet_pb2 import GrantCreditsRequest
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from ops.options import Limit, Yes
from ops.session import session

merchants = typer.Typer(help="Who is a merchant.")


@merchants.command("list")
def list_merchants(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="An id, a user's email, or how a company's name begins.")] = "",
    limit: Limit = 50,
) -> None:
    """Merchants, in the order of their ids."""
    ops, request = session(context), ListMerchantsRequest(query=query)
    found = ops.items(AccountOperationsServiceStub, "ListMerchants", request, "merchants", limit)
    ops.show(found, ["id", "company", "sender_name", "country", "create_time"])


def grant(
    context: typer.Context,
    merchant: Annotated[str, typer.Argument(help="As in `merchants list`; exactly one has to be found.")],
    amount: Annotated[int, typer.Argument(min=1)],
    reason: Annotated[str, typer.Option(help="Why; the merchant sees it.")],
    request_id: Annotated[str, typer.Option(help="Of a run that may have failed: given twice it grants once.")] = "",
    yes: Yes = False,
) -> None:
    """Gives credits to a merchant."""
    ops, request_id = session(context), request_id or str(uuid.uuid4())
    found = ops.items(
        AccountOperationsServiceStub, "ListMerchants", ListMerchantsRequest(query=merchant), "merchants", 2
    )
    if len(found) != 1:
        ops.fail(f"{'Several merchants are' if found else 'No merchant is'} found by {merchant!r}; nothing was given.")
    ops.confirm(f"Give {amount} credits to {found[0].company} ({found[0].id})?", yes=yes)
    ops.errors.print(f"request id {request_id}", style="dim")
    request = GrantCreditsRequest(merchant_id=found[0].id, amount=amount, reason=reason, request_id=request_id)
    ops.tell(ops.ask(WalletServiceStub, "GrantCredits", request))
