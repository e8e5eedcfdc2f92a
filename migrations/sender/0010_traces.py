"""Events belong to a trace."""

from migrations.policies import outbox_traces

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    outbox_traces()
