"""The pages behind the links: for a phone, without a script, in the reader's language. They show neither the reader's
name nor phone, since a link is passed on easily.
"""

from dataclasses import dataclass
from datetime import UTC
from html import escape
from string import Template

import segno
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.timestamp_pb2 import Timestamp

from astronote.campaigns.v1.offers_pb2 import Offer
from kit import webpage
from services.campaigns.link_words import Words, spoken_time

OFFER_STYLE = """
.ticket{overflow:hidden}
.stub{position:relative;margin:1.5rem -1.5rem 0;padding:1.5rem 1.5rem 0;border-top:2px dashed var(--line);
text-align:center}
.stub::before,.stub::after{content:"";position:absolute;top:-.8rem;width:1.5rem;height:1.5rem;border-radius:50%;
background:var(--paper)}
.stub::before{left:-.75rem}.stub::after{right:-.75rem}
.stub h2{font-size:1.0625rem}
.qr{width:min(13rem,100%);margin:1rem auto;padding:.5rem;border-radius:1rem;background:#fff}
.qr svg{display:block;width:100%;height:auto}
.terms{margin-top:1.5rem;padding-top:1.25rem;border-top:1px solid var(--line);white-space:pre-line}
.code{font-size:2rem;line-height:1.2;font-weight:700;letter-spacing:.04em;font-variant-numeric:tabular-nums}
"""
ASK = Template("""<main><div class="card"><h1>$title</h1><p>$text</p>
<form method="post" action="/u/$code?language=$language"><button>$button</button></form></div></main>""")
NOTICE = Template('<main><div class="card">$mark<h1>$title</h1><p>$text</p><p class="soft">$more</p></div></main>')
# The code comes before the small print: who stands at the till does not scroll.
OFFER = Template("""<main><article class="card ticket"><h1>$title</h1>
<section class="stub" aria-labelledby="till"><h2 id="till">$show_code</h2>
<div class="qr" role="img" aria-label="$label">$qr</div><p class="code">$code</p><p class="soft">$until</p></section>
$terms</article></main>""")
TERMS = Template('<p class="terms">$text</p>')
FOOTER = Template(
    """<footer><a href="?language=$other" lang="$other" hreflang="$other">$other_name</a>$more</footer>"""
)
LEAVE = Template('<a href="/u/$code?language=$language" rel="nofollow">$unsubscribe</a>')


@dataclass(frozen=True)
class Reader:
    """Who follows a link: by its `code`, from which `shop`; times are said in the shop's zone."""

    code: str
    shop: str
    time_zone: str
    words: Words

    def time(self, time: Timestamp) -> str:
        return spoken_time(time.ToDatetime(tzinfo=UTC), self.time_zone, self.words)


def unsubscribe(reader: Reader) -> HttpBody:
    """Asks."""
    words = reader.words
    text = _naming(words.unsubscribe_from, reader)
    title, button = words.unsubscribe, words.unsubscribe_now
    body = ASK.substitute(title=title, text=text, code=reader.code, language=words.language, button=button)
    return _page(reader, title, body, _footer(reader))


def unsubscribed(reader: Reader) -> HttpBody:
    words, title = reader.words, reader.words.done
    # Without a way to the other language, which would ask again what has been answered.
    return _page(reader, title, _notice(webpage.DONE, title, _naming(words.no_more_texts, reader), words.last_text), "")


def offer(reader: Reader, offer: Offer) -> HttpBody:
    words, title = reader.words, offer.terms.title.strip() or reader.words.your_offer
    if offer.state == Offer.REDEEMED:
        time = words.redeemed_at.format(time=reader.time(offer.redeem_time))
        notice = _notice(webpage.DONE, words.redeemed, escape(title), time)
        return _page(reader, words.redeemed, notice, _footer(reader))
    if offer.state == Offer.EXPIRED:
        time = words.expired_at.format(time=reader.time(offer.terms.expire_time))
        notice = _notice(webpage.OVER, words.expired, escape(title), time)
        return _page(reader, words.expired, notice, _footer(reader))
    until = [words.valid_once]
    if offer.terms.HasField("expire_time"):
        until.insert(0, words.valid_until.format(time=reader.time(offer.terms.expire_time)))
    code = " ".join(offer.till_code[at : at + 3] for at in range(0, len(offer.till_code), 3))
    body = OFFER.substitute(
        title=escape(title),
        terms=TERMS.substitute(text=escape(offer.terms.text)) if offer.terms.text else "",
        show_code=words.show_code,
        label=words.qr_code.format(code=code),
        qr=_qr(offer.till_code),
        code=code,
        until="<br>".join(until),
    )
    leave = LEAVE.substitute(code=reader.code, language=words.language, unsubscribe=words.unsubscribe)
    return _page(reader, title, body, _footer(reader, leave), OFFER_STYLE)


def _notice(mark: str, title: str, text: str, more: str) -> str:
    return NOTICE.substitute(mark=webpage.mark(mark), title=title, text=text, more=more)


def _footer(reader: Reader, more: str = "") -> str:
    words = reader.words
    return FOOTER.substitute(other=words.other_language, other_name=words.other_language_name, more=more)


def _page(reader: Reader, title: str, main: str, footer: str, style: str = "") -> HttpBody:
    body = f"<header>{escape(reader.shop)}</header>{main}{footer}"
    page = webpage.page(reader.words.language, f"{title} · {reader.shop}", body, style)
    return HttpBody(content_type=webpage.CONTENT_TYPE, data=page)


def _naming(sentence: str, reader: Reader) -> str:
    return sentence.format(shop=f"<b>{escape(reader.shop)}</b>")


def _qr(text: str) -> str:
    """What a till's scanner reads: the figures that a cashier would type, dark on light in every colour scheme, and
    still readable with a third of it lost to a scratch or a reflection.
    """
    code = segno.make_qr(text, error="h", mode="numeric")
    drawn: str = code.svg_inline(border=3, dark="#000", omitsize=True, svgclass=None, lineclass=None)
    return drawn.replace("<svg", '<svg aria-hidden="true"', 1)
