"""The ledger, held against itself."""

import typer

from astronote.wallet.v1.operations_pb2 import AuditLedgerRequest
from astronote.wallet.v1.operations_pb2_grpc import LedgerOperationsServiceStub
from ops.session import session

ledger = typer.Typer()
AUDIT_SECONDS = 120.0


@ledger.command()
def audit(context: typer.Context) -> None:
    """Counts the whole ledger again. The code is 2 where it contradicts itself."""
    ops = session(context)
    with ops.progress() as bar:
        bar.add_task("counting", total=None)
        found = ops.ask(LedgerOperationsServiceStub, "AuditLedger", AuditLedgerRequest(), seconds=AUDIT_SECONDS)
    ops.tell(found)
    if found.discrepancies:
        ops.fail(f"{found.discrepancies} contradictions: docs/runbooks/ledger.md", code=2)


@ledger.callback()
def _group() -> None:
    """The merchants' money."""
