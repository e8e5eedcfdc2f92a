"""Room in each page of the messages for a second version of all that stands in it: a message changes once, when its
report comes. For pages that are written from now on.
"""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("ALTER TABLE messages SET (fillfactor = 45)")
