"""All SQL of campaigns."""

from services.campaigns.store.audiences import AudienceStatements
from services.campaigns.store.automations import AutomationStatements
from services.campaigns.store.batches import BatchStatements
from services.campaigns.store.enrolments import EnrolmentStatements
from services.campaigns.store.experiments import ExperimentStatements
from services.campaigns.store.figures import FigureStatements
from services.campaigns.store.guards import GuardStatements
from services.campaigns.store.history import HistoryStatements
from services.campaigns.store.privacy import PrivacyStatements
from services.campaigns.store.recipients import RecipientStatements
from services.campaigns.store.responses import ResponseStatements
from services.campaigns.store.restoring import RestoreStatements
from services.campaigns.store.schedules import ScheduleStatements
from services.campaigns.store.templates import TemplateStatements


class CampaignStore(
    TemplateStatements,
    RestoreStatements,
    ScheduleStatements,
    GuardStatements,
    AudienceStatements,
    BatchStatements,
    ExperimentStatements,
    HistoryStatements,
    FigureStatements,
    PrivacyStatements,
    RecipientStatements,
    ResponseStatements,
    AutomationStatements,
    EnrolmentStatements,
):
    """Every statement, in one transaction."""
