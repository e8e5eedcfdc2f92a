"""What accounts refuses."""

from kit.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)


class EmailTaken(AlreadyExists):
    """There is a user with this email already."""


class EmailInvalid(InvalidArgument):
    """This is not an email address of at most 254 characters."""


class PasswordInvalid(InvalidArgument):
    """A password is 10 to 128 characters."""


class CompanyInvalid(InvalidArgument):
    """A company's name is 1 to 200 characters, none of them a control character."""


class SenderNameInvalid(InvalidArgument):
    """A sender's name is 3 to 11 Latin letters and digits, or a phone number in E.164 form."""


class TimeZoneInvalid(InvalidArgument):
    """A time zone has an IANA name, such as Europe/Athens."""


class CountryInvalid(InvalidArgument):
    """A country has an ISO 3166-1 code of two letters, such as GR."""


class FrequencyCapInvalid(InvalidArgument):
    """A frequency cap is 1 to 100 texts in 1 to 90 days, or neither."""


class QuietHoursInvalid(InvalidArgument):
    """Quiet hours are two different times of day, each as HH:MM, or neither."""


class PublicBaseUrlInvalid(InvalidArgument):
    """A public address begins with https:// and has no query, no fragment and no slash at its end."""


class CredentialsWrong(Unauthenticated):
    """The email or the password is wrong."""


class RefreshTokenInvalid(Unauthenticated):
    """The refresh token is unknown, expired, revoked or was used before: log in again."""


class MerchantNotFound(NotFound):
    """There is no such merchant."""


class LoginsBusy(Unavailable):
    """Too many logins at once; try again in a moment."""


class LoginLocked(ResourceExhausted):
    """Too many attempts with a wrong password; try again later."""


class RegistrationLocked(ResourceExhausted):
    """Too many registrations with this email; try again later."""


class LoginNeeded(PermissionDenied):
    """Only a user who is logged in may do this, and no API key."""


class CurrentPasswordWrong(InvalidArgument):
    """This is not the current password."""


class ApiKeyNotFound(NotFound):
    """There is no such API key."""


class ApiKeyNameInvalid(InvalidArgument):
    """A key's name is 1 to 100 visible characters."""


class ScopesInvalid(InvalidArgument):
    """A key's scopes are READ, WRITE or both."""


class ApiKeysTooMany(FailedPrecondition):
    """A merchant has 100 API keys at most; revoke one first."""


class NextKeyTooYoung(FailedPrecondition):
    """The next key was published too short a while ago: some could not verify what it signs."""
