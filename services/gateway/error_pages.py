"""What a person sees where a page can't be shown: in Greek and in English, since nobody knows who is reading."""

from string import Template

from kit import webpage

# By HTTP status: what happened and what to do, in Greek and in English; any other status is of the last.
ASTRAY, BUSY, AWAY, WRONG = 404, 429, 503, 400
WORDS = {
    ASTRAY: (
        ("Ο σύνδεσμος δεν οδηγεί πουθενά", "Ίσως κόπηκε στη μέση. Ανοίξτε τον ξανά μέσα από το μήνυμα που λάβατε."),
        ("This link leads nowhere", "It may have been cut off. Open it again from the text that you got."),
    ),
    BUSY: (
        ("Μια στιγμή", "Έγιναν πολλές προσπάθειες. Δοκιμάστε ξανά σε ένα λεπτό."),
        ("One moment", "There were too many attempts. Try again in a minute."),
    ),
    AWAY: (
        ("Επιστρέφουμε σύντομα", "Η σελίδα δεν είναι διαθέσιμη αυτή τη στιγμή. Δοκιμάστε ξανά σε ένα λεπτό."),
        ("Back in a moment", "This page is not available right now. Try again in a minute."),
    ),
    WRONG: (
        ("Κάτι δεν πήγε καλά", "Ανοίξτε τον σύνδεσμο ξανά μέσα από το μήνυμα που λάβατε."),
        ("Something went wrong", "Open the link again from the text that you got."),
    ),
}
DRAWINGS = {ASTRAY: webpage.ASTRAY, WRONG: webpage.ASTRAY}
STYLE = ".astray{padding-top:4rem}"
CARD = Template('<section class="card" lang="$language">$mark<$level>$title</$level><p>$text</p></section>')


def page(status: int) -> bytes:
    kind = AWAY if status >= 500 else status if status in WORDS else WRONG
    (greek, advice), (english, english_advice) = WORDS[kind]
    mark = webpage.mark(DRAWINGS.get(kind, webpage.OVER))
    cards = CARD.substitute(language="el", mark=mark, level="h1", title=greek, text=advice)
    cards += CARD.substitute(language="en", mark="", level="h2", title=english, text=english_advice)
    return webpage.page("el", f"{greek} · {english}", f'<main class="astray">{cards}</main>', STYLE)
