"""All SQL of the sender."""

from services.sender.store.attempts import AttemptStatements
from services.sender.store.messages import MessageStatements
from services.sender.store.reports import ReportStatements
from services.sender.store.tallies import TallyStatements


class SenderStore(AttemptStatements, ReportStatements, MessageStatements, TallyStatements):
    """Every statement, in one transaction."""
