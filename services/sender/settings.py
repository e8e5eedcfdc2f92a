"""Settings of the sender."""

from pydantic import Field, SecretStr, field_validator

from kit.config import ServiceSettings

# Whom a STOP is for is told by who texted the phone in the 90 days before, and is looked for for a day.
TEXTS_KEPT_SECONDS_MIN = 91 * 86400


class Settings(ServiceSettings):
    #: Where Mitto answers: `https://…`.
    mitto_api_base: str
    #: What Mitto knows us by.
    mitto_api_key: SecretStr
    #: The traffic account that texts go out under; limits and the breaker are kept by it.
    mitto_traffic_account_id: str
    #: Secrets that callbacks may carry, parted by commas: two at once while one is being replaced.
    webhook_secret: SecretStr
    #: Messages a bulk call; a larger batch is submitted in several. Contacts answer for up to 10,000 phones at once.
    chunk_size: int = Field(default=5000, gt=0, le=10_000)
    #: Batches in hand at a time.
    concurrency: int = Field(default=5, gt=0)
    #: Of these, batches of one merchant.
    merchant_concurrency: int = Field(default=4, gt=0)
    #: Single texts in hand at a time, on a lane of their own.
    single_concurrency: int = Field(default=4, gt=1)
    #: A single text that nobody finished is looked after again so much later; longer than a hold takes.
    single_sweep_seconds: float = 15
    #: Whoever has a batch has it for so long; longer than contacts (10 s) and the provider may take.
    lease_seconds: float = 45
    #: A submission that has no answer by then is unknown.
    provider_timeout_seconds: float = 30
    #: Tries of a batch that the provider is known not to have taken.
    tries_max: int = Field(default=5, gt=0)
    #: The wait after the first of them; it doubles.
    retry_seconds: float = 3
    #: The longest wait that is believed of a provider's Retry-After.
    retry_seconds_max: float = 300
    #: Calls a second under the traffic account, for all senders together.
    account_requests_per_second: float = Field(default=100, gt=0)
    #: Messages a second under it; 0: no limit.
    account_messages_per_second: float = Field(default=0, ge=0)
    #: Of these, calls of one merchant.
    merchant_requests_per_second: float = Field(default=50, gt=0)
    #: Of these, messages of one merchant; 0: no limit.
    merchant_messages_per_second: float = Field(default=0, ge=0)
    #: The part of the limits of calls that is kept for single texts; the rest is for bulk.
    single_requests_share: float = Field(default=0.5, gt=0, lt=1)
    #: The same of the limits of messages.
    single_messages_share: float = Field(default=0.1, gt=0, lt=1)
    #: A submission waits so long for its turn with the batch in hand; longer, and the batch is put down.
    limit_wait_seconds: float = 1
    #: So many of the last answers are remembered.
    breaker_window: int = Field(default=20, gt=0)
    #: The breaker opens when so large a share of them was ambiguous.
    breaker_unknown_share: float = Field(default=0.5, gt=0, le=1)
    #: It is open for so long, and then a probe is made.
    breaker_seconds: float = 30
    #: Messages of a submission after an ambiguous answer, and of a probe.
    cautious_size: int = Field(default=50, gt=0)
    #: An accepted message without a report expires after this.
    validity_seconds: float = 72 * 3600
    #: An unknown one without evidence waits so much longer: its report may come when the validity ends.
    unknown_grace_seconds: float = 24 * 3600
    #: A report of a message that we do not know is looked up after this; longer than a submission takes to be recorded.
    lookup_after_seconds: float = 60
    #: Look-ups at the provider, in each sender.
    lookups_per_second: int = 20
    #: Tries of a look-up.
    lookup_tries_max: int = 8
    #: The wait after the first of them; it doubles.
    lookup_retry_seconds: float = 60
    #: What was posted can be replayed for so long.
    webhook_retention_seconds: float = 30 * 86400
    #: Phone and words of what was texted, to customers and by them, are kept for so long; 0: for ever.
    text_retention_seconds: float = 400 * 86400
    #: How often all messages are counted again.
    recount_interval_seconds: float = 300

    @field_validator("text_retention_seconds")
    @classmethod
    def _outlives_its_answers(cls, seconds: float) -> float:
        if seconds and seconds < TEXTS_KEPT_SECONDS_MIN:
            raise ValueError(f"must be 0 or at least {TEXTS_KEPT_SECONDS_MIN}: a STOP finds its merchants by it")
        return seconds

    @field_validator("webhook_secret")
    @classmethod
    def _has_no_empty_part(cls, secret: SecretStr) -> SecretStr:
        """An empty secret would be proven by a callback that carries none."""
        if not all(part.strip() for part in secret.get_secret_value().split(",")):
            raise ValueError("one of the secrets is empty")
        return secret
