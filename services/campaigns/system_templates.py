"""The templates that every merchant finds: by category in English and Greek, read-only.

An English text takes one segment with its link, a Greek one two, or one in capitals. The default of a name is a word to
begin with, so that a text reads well without it.
"""

from collections.abc import Iterator
from uuid import NAMESPACE_DNS, uuid5

from astronote.campaigns.v1.campaigns_pb2 import Template

NAMES = {
    "en": ("Welcome", "Offer", "We miss you"),
    "el": ("Καλωσόρισμα", "Προσφορά", "Μας λείψατε"),
}
# In the order of the names.
TEXTS = {
    ("cafe", "en"): (
        "{{first_name|Hello}}, thank you for joining us! Show this text for a free coffee with your next order.",
        "{{first_name|Hello}}, this week every second coffee is on us. See you at the counter!",
        "{{first_name|Hello}}, it has been a while! Come by this week: your coffee is half price.",
    ),
    ("cafe", "el"): (
        "{{first_name|Γεια σας}}, καλώς ήρθατε! Δείξτε το μήνυμα για έναν καφέ δώρο.",
        "{{first_name|Γεια σας}}, αυτή την εβδομάδα ο δεύτερος καφές είναι δώρο!",
        "{{first_name|Γεια σας}}, μας λείψατε! Ο επόμενος καφές σας στη μισή τιμή.",
    ),
    ("restaurant", "en"): (
        "{{first_name|Hello}}, thank you for joining us! Your first dessert is on the house.",
        "{{first_name|Hello}}, 20% off dinner from Monday to Thursday this week. Call us for a table!",
        "{{first_name|Hello}}, we kept your table! Book this week and enjoy 15% off your dinner.",
    ),
    ("restaurant", "el"): (
        "{{first_name|Γεια σας}}, καλώς ήρθατε! Το πρώτο επιδόρπιο κερασμένο από εμάς.",
        "{{first_name|Γεια σας}}, -20% στο δείπνο, Δευτέρα με Πέμπτη. Κλείστε τραπέζι!",
        "{{first_name|Γεια σας}}, μας λείψατε! -15% στο δείπνο σας αυτή την εβδομάδα.",
    ),
    ("gym", "en"): (
        "{{first_name|Hello}}, welcome to the team! Your first session with a trainer is free: book it at the desk.",
        "{{first_name|Hello}}, bring a friend this week: both of you train for free on the day.",
        "{{first_name|Hello}}, your goals are waiting! Come back this month and get 20% off your renewal.",
    ),
    ("gym", "el"): (
        "{{first_name|Γεια σας}}, καλώς ήρθατε! Η πρώτη προσωπική προπόνηση είναι δωρεάν.",
        "{{first_name|Γεια σας}}, φέρτε έναν φίλο και προπονηθείτε μαζί δωρεάν!",
        "{{first_name|Γεια σας}}, μας λείψατε! -20% στην ανανέωση αυτόν τον μήνα.",
    ),
    ("sports_club", "en"): (
        "{{first_name|Hello}}, welcome to the club! Training times and news will reach you here.",
        "{{first_name|Hello}}, registration for the new season is open: 15% off until the end of the month.",
        "{{first_name|Hello}}, the team misses you! Join the next training, the first one back is free.",
    ),
    ("sports_club", "el"): (
        "{{first_name|Γεια σας}}, καλώς ήρθατε στον σύλλογο! Εδώ θα μαθαίνετε τα νέα μας.",
        "{{first_name|Γεια σας}}, άνοιξαν οι εγγραφές! -15% έως το τέλος του μήνα.",
        "{{first_name|Γεια σας}}, λείπετε από την ομάδα! Η επόμενη προπόνηση δωρεάν.",
    ),
    ("generic", "en"): (
        "{{first_name|Hello}}, thank you for joining us! Show this text for 10% off your next visit.",
        "{{first_name|Hello}}, 20% off everything until Sunday. We look forward to seeing you!",
        "{{first_name|Hello}}, it has been a while! Here is 15% off your next visit.",
    ),
    ("generic", "el"): (
        "{{first_name|Γεια σας}}, καλώς ήρθατε! Δείξτε το μήνυμα για -10%.",
        "{{first_name|Γεια σας}}, -20% σε όλα έως την Κυριακή. Σας περιμένουμε!",
        "{{first_name|Γεια σας}}, μας λείψατε! -15% στην επόμενη επίσκεψή σας.",
    ),
    ("hotels", "en"): (
        "{{first_name|Hello}}, thank you for staying with us! Book directly next time and breakfast is free.",
        "{{first_name|Hello}}, stay three nights this month and pay for two. Book by phone or at our desk.",
        "{{first_name|Hello}}, we would love to see you again: 15% off your next stay when you book directly.",
    ),
    ("hotels", "el"): (
        "{{first_name|Γεια σας}}, ευχαριστούμε! Στην επόμενη κράτηση το πρωινό δώρο.",
        "{{first_name|Γεια σας}}, μείνετε τρεις νύχτες αυτόν τον μήνα, πληρώστε δύο!",
        "{{first_name|Γεια σας}}, ελάτε ξανά! -15% στην επόμενη διαμονή σας.",
    ),
}


def _templates() -> Iterator[Template]:
    for (category, language), texts in TEXTS.items():
        for number, (name, text) in enumerate(zip(NAMES[language], texts, strict=True)):
            id = str(uuid5(NAMESPACE_DNS, f"{number}.{language}.{category}.templates.astronote"))
            template = Template(id=id, name=name, text=text, language=language, category=category)
            template.system, template.version = True, 1
            yield template


BY_ID = {template.id: template for template in _templates()}


def chosen(category: str, language: str, after: str) -> list[Template]:
    """Those of the category and language, or of any, whose id comes after that one."""
    return [
        template
        for id, template in BY_ID.items()
        if category in ("", template.category) and language in ("", template.language) and id > after
    ]
