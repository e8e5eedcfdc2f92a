"""All SQL of the sender.

Locks are taken in one order, so that nobody waits in a circle: posted bodies, the caps of a merchant, batch, attempt,
messages by id, settlements, tallies by campaign, parked reports by the provider's id. What is out of it takes only what
is free (`SKIP LOCKED`).
"""

from services.sender.store.attempts import AttemptStatements
from services.sender.store.audit import AuditStatements
from services.sender.store.caps import CapStatements
from services.sender.store.inbound import InboundStatements
from services.sender.store.messages import MessageStatements
from services.sender.store.privacy import PrivacyStatements
from services.sender.store.reports import ReportStatements
from services.sender.store.routes import RouteStatements
from services.sender.store.singles import SingleStatements
from services.sender.store.tallies import TallyStatements
from services.sender.store.webhooks import WebhookStatements


class SenderStore(
    AttemptStatements,
    ReportStatements,
    WebhookStatements,
    AuditStatements,
    CapStatements,
    InboundStatements,
    MessageStatements,
    PrivacyStatements,
    RouteStatements,
    SingleStatements,
    TallyStatements,
):
    """Every statement, in one transaction."""
