"""Events belong to a trace."""

from migrations.policies import outbox_traces

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    outbox_traces()
