"""Settings of the contacts service."""

from pydantic import SecretStr

from kit.config import ServiceSettings


class Settings(ServiceSettings):
    """What contacts needs beside every service's settings."""

    #: base64url of 32 bytes: the key of the phone hashes. It can't change: suppressions would no longer be found.
    suppression_key: SecretStr
