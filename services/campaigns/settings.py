"""Settings of campaigns."""

from pydantic import Field, SecretStr, field_validator

from kit.config import ServiceSettings

# The link by which people opt out works for a year.
READERS_KEPT_SECONDS_MIN = 366 * 86400


class Settings(ServiceSettings):
    #: base64url of 32 bytes: what makes the codes in links unguessable. Changing it breaks every link that is out.
    link_key: SecretStr
    #: What links begin with where the merchant has no address of its own.
    public_base_url: str
    #: Recipients a batch, and so a bulk call at the provider.
    batch_size: int = Field(default=5000, gt=0, le=10_000)
    #: A start that was missed by more than this is not made up for.
    start_late_seconds_max: float = Field(default=3600, gt=0)
    #: Batches of one campaign that may be with the senders at a time.
    batches_ahead: int = Field(default=4, gt=0)
    #: A batch that is not done so long after it was published is published again.
    republish_after_seconds: float = 30
    #: A campaign whose senders were silent for so long is asked after.
    silence_seconds: float = 15
    #: A campaign pauses by itself, or does not, once the fate of so many of its texts is known.
    pause_texts_min: int = Field(default=100, gt=0)
    #: It does when so large a share of them failed.
    pause_failure_share: float = Field(default=0.3, gt=0, le=1)
    #: It does when so large a share of their readers left by its link.
    pause_opt_out_share: float = Field(default=0.05, gt=0, le=1)
    #: Phones and texts of a campaign that is over are kept for so long, and its links work; 0: for ever.
    reader_retention_seconds: float = 400 * 86400

    @field_validator("reader_retention_seconds")
    @classmethod
    def _keeps_links_for_a_year(cls, seconds: float) -> float:
        if seconds and seconds < READERS_KEPT_SECONDS_MIN:
            raise ValueError(f"must be 0 or at least {READERS_KEPT_SECONDS_MIN}: the link to opt out works for a year")
        return seconds
