"""What campaigns refuses."""

from kit.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unavailable


class TemplateNotFound(NotFound):
    """The merchant has no such template."""


class TemplateInvalid(InvalidArgument):
    """A field of the template is wrong."""


class TemplateReadOnly(FailedPrecondition):
    """The template is one of ours: nobody changes it."""


class TextInvalid(InvalidArgument):
    """The text can't be rendered."""


class CampaignNotFound(NotFound):
    """The merchant has no such campaign."""


class CampaignInvalid(InvalidArgument):
    """A field of the campaign is wrong."""


class WatchMoved(Unavailable):
    """Whoever watched for you is about to go: watch again from the last event on."""


class ScheduleInvalid(InvalidArgument):
    """The schedule is wrong."""


class WrongState(FailedPrecondition):
    """The campaign is not in a state that allows this."""


class NoRecipients(FailedPrecondition):
    """Nobody is in the audience."""


class SenderNameMissing(FailedPrecondition):
    """Neither the campaign nor the merchant has a sender name."""


class SubscriptionRequired(FailedPrecondition):
    """Campaigns need an active plan."""


class InsufficientCredits(FailedPrecondition):
    """The wallet has too few credits."""


class EventIdInvalid(InvalidArgument):
    """The event id is none of this stream's."""


class RecipientNotFound(NotFound):
    """The merchant has no such recipient."""


class NoHoldOut(FailedPrecondition):
    """The campaign holds nobody out, or has not begun."""


class ConversionsInvalid(InvalidArgument):
    """1 to 500 contacts convert in one call."""


class DaysInvalid(InvalidArgument):
    """A dashboard has 1 to 92 days."""


class LinkNotFound(NotFound):
    """The link leads nowhere."""


class OfferNotFound(NotFound):
    """The merchant made no offer with this code."""


class OfferExpired(FailedPrecondition):
    """The offer has expired."""


class AlreadyRedeemed(AlreadyExists):
    """The offer was redeemed before."""


class AutomationNotFound(NotFound):
    """The merchant has no such automation."""


class AutomationInvalid(InvalidArgument):
    """A field of the automation is wrong."""


class TooManyAutomations(FailedPrecondition):
    """The merchant has as many automations of its own as there may be."""


class BatchesTooMany(InvalidArgument):
    """A call names 500 batches at most."""
