"""What the sender refuses."""

from kit.errors import FailedPrecondition, InvalidArgument, NotFound, Unauthenticated, Unavailable


class MessageNotFound(NotFound):
    """The merchant has no such message."""


class CampaignIdInvalid(InvalidArgument):
    """The filter by campaign is no UUID."""


class WebhookSecretWrong(Unauthenticated):
    """The callback carries none of the secrets."""


class ReportInvalid(InvalidArgument):
    """The body is neither a delivery report nor an array of them."""


class InboundInvalid(InvalidArgument):
    """The body is neither a customer's text nor an array of them."""


class InboundNotFound(NotFound):
    """The merchant has no such text of a customer."""


class InboundResolved(FailedPrecondition):
    """The text was clear, or somebody said already what it meant."""


class RangeInvalid(InvalidArgument):
    """A range of time ends after it starts."""


class PhoneInvalid(InvalidArgument):
    """The phone is no number in E.164."""


class TextInvalid(InvalidArgument):
    """The text can't be sent."""


class SenderNameInvalid(InvalidArgument):
    """A sender name is 3 to 11 letters and digits, or a number in E.164."""


class SenderNameMissing(FailedPrecondition):
    """Neither the request nor the merchant has a sender name."""


class InsufficientCredits(FailedPrecondition):
    """The wallet has too few credits."""


class SpendingBraked(FailedPrecondition):
    """Nobody may send anything at the moment: the operator has pulled the brake."""


class DailyCapReached(FailedPrecondition):
    """That would be more than the merchant's limit for a day."""


class CountryNotAllowed(FailedPrecondition):
    """The phone is of a country that may not be texted."""


class MerchantUnavailable(Unavailable):
    """The merchant's profile can't be asked for; try again."""
