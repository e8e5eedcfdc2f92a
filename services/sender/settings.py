"""Settings of the sender."""

from pydantic import SecretStr

from kit.config import ServiceSettings


class Settings(ServiceSettings):
    mitto_api_base: str
    mitto_api_key: SecretStr
    mitto_traffic_account_id: str
    #: Secrets that callbacks may carry, parted by commas: two at once while one is being replaced.
    webhook_secret: SecretStr
    #: Messages a bulk call; a larger batch is submitted in several.
    chunk_size: int = 5000
    #: Batches in hand at a time.
    concurrency: int = 5
    #: Whoever has a batch has it for so long; longer than the provider may take.
    lease_seconds: float = 120
    provider_timeout_seconds: float = 60
    #: Tries of a batch that the provider is known not to have taken, and the wait after the first; it doubles.
    tries_max: int = 5
    retry_seconds: float = 3
    #: An accepted message without a report, and an unknown one without evidence, expire after this.
    validity_seconds: float = 72 * 3600
