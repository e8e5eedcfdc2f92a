"""Settings of the contacts service."""

from pydantic import SecretStr

from kit.config import ServiceSettings


class Settings(ServiceSettings):
    """What contacts needs beside every service's settings."""

    #: base64url of 32 bytes: the key of the phone hashes. After a rotation several, the newest first, with commas
    #: between; none may ever be left out, since suppressions of it would no longer be found (docs/adr/0036).
    suppression_key: SecretStr
    #: What the addresses of forms begin with.
    public_base_url: str
    #: A text may be in a sender's hands while its person is erased: so much later the others are asked to forget again.
    erasure_pause_seconds: float = 900
    #: How long the rejected rows of an import are kept.
    reject_retention_seconds: float = 30 * 86400
