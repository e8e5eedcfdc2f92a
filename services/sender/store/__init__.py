"""All SQL of the sender."""

from services.sender.store.attempts import AttemptStatements
from services.sender.store.audit import AuditStatements
from services.sender.store.messages import MessageStatements
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
    MessageStatements,
    RouteStatements,
    SingleStatements,
    TallyStatements,
):
    """Every statement, in one transaction."""
