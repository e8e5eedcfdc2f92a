"""What the pages behind the links say, in Greek and in English, and which of the two a reader gets."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# Greece and Cyprus.
GREEK_PHONES = ("+30", "+357")


@dataclass(frozen=True)
class Words:
    """`{shop}`, `{time}` and `{code}` stand for what the page knows."""

    language: str
    other_language: str
    other_language_name: str
    your_offer: str
    show_code: str
    qr_code: str
    valid_until: str
    valid_once: str
    redeemed: str
    redeemed_at: str
    expired: str
    expired_at: str
    unsubscribe: str
    unsubscribe_from: str
    unsubscribe_now: str
    done: str
    no_more_texts: str
    last_text: str
    months: tuple[str, ...]


GREEK = Words(
    language="el",
    other_language="en",
    other_language_name="English",
    your_offer="Η προσφορά σας",
    show_code="Δείξτε τον κωδικό στο ταμείο",
    qr_code="Κωδικός QR: {code}",
    valid_until="Ισχύει έως {time}",
    valid_once="Για μία χρήση",
    redeemed="Η προσφορά χρησιμοποιήθηκε",
    redeemed_at="Στο ταμείο, {time}",
    expired="Η προσφορά έληξε",
    expired_at="Ίσχυε έως {time}",
    unsubscribe="Διαγραφή από τα μηνύματα",
    unsubscribe_from="Πατήστε το κουμπί, και το κατάστημα {shop} δεν θα σας στέλνει πια μηνύματα στο κινητό.",
    unsubscribe_now="Διαγραφή",
    done="Έγινε",
    no_more_texts="Το κατάστημα {shop} δεν θα σας στέλνει πια μηνύματα στο κινητό.",
    last_text="Ένα μήνυμα που έχει ήδη φύγει μπορεί να φτάσει ακόμη.",
    months=(
        "Ιανουαρίου", "Φεβρουαρίου", "Μαρτίου", "Απριλίου", "Μαΐου", "Ιουνίου",
        "Ιουλίου", "Αυγούστου", "Σεπτεμβρίου", "Οκτωβρίου", "Νοεμβρίου", "Δεκεμβρίου",
    ),
)  # fmt: skip
ENGLISH = Words(
    language="en",
    other_language="el",
    other_language_name="Ελληνικά",
    your_offer="Your offer",
    show_code="Show this code at the till",
    qr_code="QR code: {code}",
    valid_until="Valid until {time}",
    valid_once="Can be used once",
    redeemed="This offer was used",
    redeemed_at="At the till, {time}",
    expired="This offer has ended",
    expired_at="It was valid until {time}",
    unsubscribe="Unsubscribe from texts",
    unsubscribe_from="Press the button, and {shop} will send you no more texts.",
    unsubscribe_now="Unsubscribe",
    done="Done",
    no_more_texts="{shop} will send you no more texts.",
    last_text="A text that is already on its way may still arrive.",
    months=(
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
)  # fmt: skip
BY_LANGUAGE = {words.language: words for words in (GREEK, ENGLISH)}


def words_for(choice: str, language: str, phone: str) -> Words:
    """The reader's choice; or else Greek for who speaks it, English for who speaks something else; and where nobody
    knows, what the country of the phone speaks.
    """
    if choice in BY_LANGUAGE:
        return BY_LANGUAGE[choice]
    if language:
        return BY_LANGUAGE.get(language[:2].lower(), ENGLISH)
    return GREEK if phone.startswith(GREEK_PHONES) else ENGLISH


def spoken_time(time: datetime, time_zone: str, words: Words) -> str:
    """`30 November 2026, 21:00`, in the merchant's time zone."""
    local = time.astimezone(_zone(time_zone))
    return f"{local.day} {words.months[local.month - 1]} {local.year}, {local:%H:%M}"


def _zone(name: str) -> tzinfo:
    """UTC on a machine that knows no zones."""
    try:
        return ZoneInfo(name or "UTC")
    except ZoneInfoNotFoundError:
        return UTC
