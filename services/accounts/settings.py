"""What accounts reads from its environment."""

from base64 import urlsafe_b64decode

from pydantic import Field, SecretStr, field_validator

from kit.config import ServiceSettings


class Settings(ServiceSettings):
    #: base64url of 32 random bytes; the private halves of the signing keys are encrypted with it.
    signing_key_encryption_key: SecretStr
    #: A signing key signs for so many days, then the next one does.
    signing_key_days: int = Field(default=30, ge=1)
    #: Passwords hashed at once; each takes a core and 19 MiB for about 50 ms.
    password_threads: int = Field(default=2, ge=1, le=64)

    @field_validator("signing_key_encryption_key")
    @classmethod
    def _is_32_bytes(cls, key: SecretStr) -> SecretStr:
        if len(_raw(key)) != 32:
            raise ValueError("32 bytes in base64url are needed")
        return key

    def encryption_key(self) -> bytes:
        return _raw(self.signing_key_encryption_key)


def _raw(key: SecretStr) -> bytes:
    text = key.get_secret_value()
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
