"""What the sender refuses."""

from kit.errors import InvalidArgument, NotFound, Unauthenticated


class MessageNotFound(NotFound):
    """The merchant has no such message."""


class WebhookSecretWrong(Unauthenticated):
    """The callback carries none of the secrets."""


class ReportInvalid(InvalidArgument):
    """The body is neither a delivery report nor an array of them."""
