"""What the wallet refuses."""

from kit.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)


class AmountInvalid(InvalidArgument):
    """The amount is not one that this call can move."""


class HoldIdInvalid(InvalidArgument):
    """The id of a hold is a UUID."""


class KeyInvalid(InvalidArgument):
    """A key is 1 to 200 characters, none of them a control character."""


class ReasonInvalid(InvalidArgument):
    """A reason is 1 to 500 characters, none of them a control character."""


class KeyReused(AlreadyExists):
    """This key was used before, with another body."""


class InsufficientCredits(FailedPrecondition):
    """The wallet has too few credits available."""


class WalletNotFound(NotFound):
    """This merchant has no wallet."""


class HoldNotFound(NotFound):
    """The merchant has no such hold."""


class HoldClosed(FailedPrecondition):
    """The hold is closed: nothing is captured from it or released any more."""


class HoldExceeded(FailedPrecondition):
    """That is more than is left of the hold."""


class HoldUnsettled(Aborted):
    """What was captured is not the sum that the caller expects; try again when all of it has arrived."""


class CatalogueInvalid(InvalidArgument):
    """A field of the catalogue is wrong."""


class CreditsInvalid(InvalidArgument):
    """A top-up is not of so many credits."""


class CurrencyUnknown(InvalidArgument):
    """Nothing is sold in this currency."""


class PackageNotFound(NotFound):
    """No such package is sold."""


class PlanNotFound(NotFound):
    """No such plan is sold."""


class SpendLimitsInvalid(InvalidArgument):
    """A field of the limits is wrong."""


class SpendPolicyInvalid(InvalidArgument):
    """A field of the policy is wrong."""


class SpendingBraked(FailedPrecondition):
    """Nobody may send anything at the moment: the operator has pulled the brake."""


class DailyCapReached(FailedPrecondition):
    """That would be more than the merchant's limit for a day."""


class CountryNotAllowed(FailedPrecondition):
    """One of the phones is of a country that may not be texted."""


class ExpireTimeInvalid(InvalidArgument):
    """A promotion ends in the future, within ten years."""


class PromotionsTooMany(FailedPrecondition):
    """The wallet has as many promotions with credits left as it may have."""


class StatementMonthInvalid(InvalidArgument):
    """A month is written YYYY-MM, and has begun."""


class UrlInvalid(InvalidArgument):
    """The address is not one of https, or of http on this machine, of up to 2,000 characters."""


class TotalTooSmall(InvalidArgument):
    """The total is less than Stripe takes."""


class SubscriptionRequired(FailedPrecondition):
    """This is for merchants with an active plan."""


class SubscriptionExists(AlreadyExists):
    """The merchant has a plan: change that one."""


class SubscriptionNotFound(NotFound):
    """The merchant pays for no plan."""


class SubscriptionChanging(Aborted):
    """The plan is being changed by another call; try again."""


class CheckoutSuperseded(FailedPrecondition):
    """A page for a subscription was opened after this one, which is closed: use the newer."""


class CustomerNotFound(NotFound):
    """The merchant has never begun a purchase."""


class PurchaseNotFound(NotFound):
    """The merchant has no such purchase."""


class PaymentFailed(FailedPrecondition):
    """The card was declined, and nothing was changed."""


class StripeAway(Unavailable):
    """Stripe can't be asked now; try again."""


class StripeSignatureWrong(Unauthenticated):
    """The event is not signed with the secret, or not about now."""


class StripeEventInvalid(InvalidArgument):
    """The body is no event of Stripe's."""


class RangeInvalid(InvalidArgument):
    """A range of time ends after it starts."""


class RecountUnderWay(Aborted):
    """The ledger is being counted; try again."""


class LoginNeeded(PermissionDenied):
    """Only a user who is logged in may do this, and no API key."""
