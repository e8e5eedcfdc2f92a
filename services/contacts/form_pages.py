"""The pages of a form, for a phone, in the form's language. None of them says whether a phone was known."""

from dataclasses import dataclass
from html import escape
from string import Template

from google.api.httpbody_pb2 import HttpBody

from kit import webpage

STYLE = """
label{display:block;margin-top:1rem;font-weight:600}
input:not([type=checkbox]){display:block;width:100%;min-height:3rem;margin-top:.25rem;padding:.5rem .75rem;font:inherit;
color:inherit;background:transparent;border:1px solid var(--soft);border-radius:.75rem}
.agree{display:flex;gap:.75rem;align-items:flex-start;font-weight:400;white-space:pre-line}
.agree input{flex:none;width:1.5rem;height:1.5rem;margin:0}
.wrong{margin-top:1rem;padding-left:.75rem;border-left:4px solid currentColor;font-weight:600}
"""
FORM = Template("""<main><div class="card"><h1>$title</h1>$wrong<form method="post">
<label>$phone<input name="phone" type="tel" autocomplete="tel" inputmode="tel" required maxlength="30"
value="$given_phone"></label>
<label>$first_name<input name="first_name" autocomplete="given-name" maxlength="100" value="$given_name"></label>
<label class="agree"><input type="checkbox" name="agreed" value="yes" required><span>$wording</span></label>
<button>$sign_up</button></form></div></main>""")
CONFIRM = Template("""<main><div class="card"><h1>$title</h1><p>$text</p>
<form method="post"><button>$button</button></form></div></main>""")
NOTICE = Template("""<main><div class="card">$mark<h1>$title</h1><p>$text</p><p class="soft">$more</p></div></main>""")


@dataclass(frozen=True)
class Words:
    phone: str
    first_name: str
    sign_up: str
    wrong_phone: str
    not_agreed: str
    thanks: str
    received: str
    opted_out: str
    look_at_phone: str
    confirm: str
    confirm_text: str
    text: str


WORDS = {
    "el": Words(
        phone="Κινητό",
        first_name="Όνομα (προαιρετικό)",
        sign_up="Εγγραφή",
        wrong_phone="Ο αριθμός δεν είναι σωστός.",
        not_agreed="Χρειαζόμαστε τη συγκατάθεσή σας: σημειώστε το τετράγωνο.",
        thanks="Ευχαριστούμε!",
        received="Η αίτησή σας καταχωρίστηκε.",
        opted_out="Αν είχατε ζητήσει διαγραφή, στείλτε ΕΝΑΡΞΗ στον αριθμό από τον οποίο σας γράφαμε.",
        look_at_phone="Θα λάβετε ένα SMS με έναν σύνδεσμο: ακολουθήστε τον για να ολοκληρωθεί η εγγραφή.",
        confirm="Ολοκληρώστε την εγγραφή",
        confirm_text="Πατήστε το κουμπί για να λαμβάνετε μηνύματα.",
        text="{title}: για να ολοκληρωθεί η εγγραφή σας, {url}",
    ),
    "en": Words(
        phone="Mobile phone",
        first_name="First name (optional)",
        sign_up="Sign up",
        wrong_phone="This is not a valid number.",
        not_agreed="We need your consent: please tick the box.",
        thanks="Thank you!",
        received="We have your request.",
        opted_out="If you had unsubscribed, text START to the number that we wrote from.",
        look_at_phone="You will get a text with a link: follow it to complete your sign-up.",
        confirm="Complete your sign-up",
        confirm_text="Press the button to receive our texts.",
        text="{title}: to complete your sign-up, {url}",
    ),
}


def form(
    language: str, title: str, wording: str, *, wrong: str = "", phone: str = "", first_name: str = ""
) -> HttpBody:
    """`wrong` names the word that says what is to be mended."""
    words = WORDS[language]
    said = f'<p class="wrong" role="alert">{escape(getattr(words, wrong))}</p>' if wrong else ""
    body = FORM.substitute(
        title=escape(title),
        wrong=said,
        phone=words.phone,
        first_name=words.first_name,
        wording=escape(wording),
        sign_up=words.sign_up,
        given_phone=escape(phone),
        given_name=escape(first_name),
    )
    return _page(language, title, body)


def received(language: str, title: str, *, is_double: bool) -> HttpBody:
    words = WORDS[language]
    return _notice(language, title, words.look_at_phone if is_double else words.received, words.opted_out)


def confirm(language: str, title: str) -> HttpBody:
    words = WORDS[language]
    body = CONFIRM.substitute(title=words.confirm, text=words.confirm_text, button=words.sign_up)
    return _page(language, title, body)


def confirmed(language: str, title: str) -> HttpBody:
    return _notice(language, title, WORDS[language].received, "")


def _notice(language: str, title: str, text: str, more: str) -> HttpBody:
    mark = webpage.mark(webpage.DONE)
    return _page(language, title, NOTICE.substitute(mark=mark, title=WORDS[language].thanks, text=text, more=more))


def _page(language: str, title: str, body: str) -> HttpBody:
    shown = f"<header>{escape(title)}</header>{body}"
    return HttpBody(content_type=webpage.CONTENT_TYPE, data=webpage.page(language, title, shown, STYLE))
