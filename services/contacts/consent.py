"""What is said of a consent, checked, in the form in which the ledger takes it."""

from dataclasses import dataclass

from astronote.contacts.v1.consents_pb2 import Consent
from services.contacts.errors import ConsentInvalid
from services.contacts.search import CONTROL

SOURCE_LENGTH_MAX = 100
WORDING_LENGTH_MAX = 2_000


@dataclass(frozen=True)
class Origin:
    """Where a consent came from: the person's address and browser. The salt hides them once they are erased."""

    ip_address: str
    user_agent: str
    salt: bytes


@dataclass(frozen=True)
class Statement:
    """What is said about one or many people: a `Consent` without its place in the chain."""

    event: Consent.Event.ValueType
    source: str
    legal_basis: Consent.LegalBasis.ValueType = Consent.LEGAL_BASIS_UNSPECIFIED
    wording: str = ""
    #: Of the one person that it is about.
    origin: Origin | None = None


def grant(source: str, wording: str, legal_basis: int) -> Statement:
    """A merchant's word that a person agreed, by default by saying so. Refuses `ConsentInvalid`."""
    if legal_basis not in Consent.LegalBasis.values():
        raise ConsentInvalid(field="legal_basis")
    basis = Consent.LegalBasis.ValueType(legal_basis or Consent.CONSENT)
    return Statement(
        Consent.GRANTED,
        _text("consent_source", source, SOURCE_LENGTH_MAX),
        basis,
        wording=_text("consent_wording", wording, WORDING_LENGTH_MAX),
    )


def _text(field: str, text: str, length_max: int) -> str:
    if len(text) > length_max or CONTROL.search(text.replace("\n", " ")):
        raise ConsentInvalid(field=field, length_max=length_max)
    return text
