"""What a customer's text asks for, however it is written."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astronote.sender.v1.inbound_pb2 import InboundText
from services.sender import keywords

Kind = InboundText.Kind
STOPS = keywords.STOP.split()
STARTS = keywords.START.split()
HELPS = keywords.HELP.split()
# As a text may be mixed of three alphabets.
LOOK_ALIKES = {
    "A": "AΑА", "B": "BΒВ", "E": "EΕЕ", "H": "HΗН", "I": "IΙІ", "K": "KΚК", "M": "MΜМ", "N": "NΝ", "O": "OΟО0",
    "P": "PΡР", "T": "TΤТ", "X": "XΧХ", "C": "CС", "S": "SЅ", "Y": "YΥУ",
}  # fmt: skip
ALIKE = {letter: letters for letters in LOOK_ALIKES.values() for letter in letters}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        # In any case, with accents, final sigma, and in mixed letters.
        ("stop", "STOP"),
        ("Stop", "STOP"),
        ("στοπ", "STOP"),
        ("Στόπ", "STOP"),
        ("ΣΤΟΠ", "STOP"),
        ("ΣTOΠ", "STOP"),
        ("ΣΤOΠ", "STOP"),
        ("Stoρ", "STOP"),
        ("ЅТОР", "STOP"),
        ("ѕtор", "STOP"),
        ("ST0P", "STOP"),
        ("Τέλος", "STOP"),
        ("διαγραφή", "STOP"),
        ("Διαγραφή μου παρακαλώ", "STOP"),
        ("ακύρωση", "STOP"),
        ("arrêt", "STOP"),
        ("qυit", "STOP"),
        ("ＳＴＯＰ", "STOP"),
        ("𝐒𝐓𝐎𝐏", "STOP"),
        ("Ⓢⓣⓞⓟ", "STOP"),
        # With what stands around and between.
        ("  stop  ", "STOP"),
        ("STOP.", "STOP"),
        ("«ΣΤΟΠ»", "STOP"),
        ("'Stop'", "STOP"),
        ("“stop”", "STOP"),
        ("#STOP", "STOP"),
        ("STOP!!!", "STOP"),
        ("🛑 STOP", "STOP"),
        ("stop🙏🏽", "STOP"),
        ("S\u200bT\u200dO\ufeffP", "STOP"),
        ("\u202eSTOP\u202c", "STOP"),
        ("ST\u00adOP", "STOP"),
        ("S.T.O.P", "STOP"),
        ("S T O P", "STOP"),
        ("stop\nthanks", "STOP"),
        ("Stop,please", "STOP"),
        ("STOP/ΔΙΑΓΡΑΦΗ", "STOP"),
        ("STOP ALL", "STOP"),
        ("opt-out", "STOP"),
        ("Opt out", "STOP"),
        ("unsubscribe me now", "STOP"),
        ("stop sending me texts", "STOP"),
        ("Start", "START"),
        ("έναρξη", "START"),
        ("ναι", "START"),
        ("Ναι!", "START"),
        ("NAI", "START"),
        ("yes please", "START"),
        ("un-stop", "START"),
        ("help", "HELP"),
        ("Βοήθεια", "HELP"),
        ("info?", "HELP"),
        # Somebody has to read these.
        ("please stop", "UNCLEAR"),
        ("Please take me off this list", "UNCLEAR"),
        ("μην μου ξαναστείλετε", "UNCLEAR"),
        ("Μη μου στέλνετε", "UNCLEAR"),
        ("σταματήστε", "UNCLEAR"),
        ("Σταματήστε να στέλνετε!", "UNCLEAR"),
        ("stamatiste", "UNCLEAR"),
        ("diagrafi", "UNCLEAR"),
        ("don't text me", "UNCLEAR"),
        ("dont send", "UNCLEAR"),
        ("remove my number", "UNCLEAR"),
        ("Δεν θέλω άλλα", "UNCLEAR"),
        ("βγάλτε με από τη λίστα", "UNCLEAR"),
        ("who are you?", "UNCLEAR"),
        ("λάθος αριθμός", "UNCLEAR"),
        ("No", "UNCLEAR"),
        ("Όχι", "UNCLEAR"),
        ("СТОП", "UNCLEAR"),
        ("Stopp", "UNCLEAR"),
        # What begins with yes and means no.
        ("Ναι, σταματήστε", "UNCLEAR"),
        ("yes stop", "UNCLEAR"),
        ("help me unsubscribe", "UNCLEAR"),
        # Nothing is asked for.
        ("", "OTHER"),
        ("   ", "OTHER"),
        ("\u200b", "OTHER"),
        ("👍", "OTHER"),
        ("...", "OTHER"),
        ("Ευχαριστώ!", "OTHER"),
        ("Thanks", "OTHER"),
        ("Τι ώρα ανοίγετε;", "OTHER"),
        ("restart", "OTHER"),
        ("endless", "OTHER"),
        ("Ναυάγιο", "OTHER"),
        ("I said yes", "OTHER"),
        ("1", "OTHER"),
    ],
)  # fmt: skip
def test_a_text_means_what_a_person_would_read(text: str, kind: str) -> None:
    assert Kind.Name(keywords.kind(text)) == kind


def test_the_keywords_are_those_of_the_contract() -> None:
    for words, kind in ((STOPS, Kind.STOP), (STARTS, Kind.START), (HELPS, Kind.HELP)):
        assert [keywords.kind(word) for word in words] == [kind] * len(words)
    assert len({keywords.skeleton(word) for word in STOPS + STARTS + HELPS}) == 21


@st.composite
def disguised(draw: st.DrawFn) -> str:
    """A word for stop as people, phones and spammers write it."""
    word = draw(st.sampled_from(STOPS))
    shown = "".join(draw(st.sampled_from(ALIKE.get(letter, letter))) for letter in word)
    shown = "".join(draw(st.sampled_from([letter, letter.lower()])) for letter in shown)
    hidden = st.sampled_from(["", "", "", "\u200b", "\u200d", "\u00ad", "\ufe0f"])
    shown = "".join(letter + draw(hidden) for letter in shown)
    around = st.text(st.sampled_from(" .!?'\"«»“”-_*#🛑🙏\n\t"), max_size=4)
    rest = draw(st.sampled_from(["", " please", ", ευχαριστώ", "\nκ. Μαρία", " 😀"]))
    form = draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
    return unicodedata.normalize(form, draw(around) + shown + draw(around) + rest)


@settings(deadline=None, derandomize=True)
@given(disguised())
def test_no_disguise_hides_a_stop(text: str) -> None:
    assert keywords.kind(text) == Kind.STOP


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_every_text_has_a_meaning_that_looks_do_not_change(text: str) -> None:
    found = keywords.kind(text)
    assert found in (Kind.STOP, Kind.START, Kind.HELP, Kind.UNCLEAR, Kind.OTHER)
    assert keywords.kind(keywords.skeleton(text)) == found
    assert keywords.kind(f" {text}\u200b ") == found


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(STOPS), st.sampled_from(["please ", "παρακαλώ ", "Hi, ", "I want to "]))
def test_a_stop_within_a_sentence_is_never_overheard(word: str, before: str) -> None:
    # TELOS and END, which words of every day begin with, are none of these.
    if word not in ("END", "ΤΕΛΟΣ", "REVOKE"):
        assert keywords.kind(before + word.lower()) == Kind.UNCLEAR
