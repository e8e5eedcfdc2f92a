"""The frame of every page that people see: made for a phone, a few kilobytes, no script, nothing from elsewhere.

Nothing on it moves, its colours follow the phone's, and each of them stands out from its ground by 4.5 to 1 or more
(WCAG 2.2, 1.4.3). Whoever fills it escapes what others wrote.
"""

from html import escape

CONTENT_TYPE = "text/html; charset=utf-8"
STYLE = """
:root{color-scheme:light dark;--paper:#f3f0e9;--card:#fff;--ink:#1d1b18;--soft:#5c564d;--line:#cfc8ba;--good:#0b6350;
--deed:#1d1b18;--on-deed:#fff}
@media(prefers-color-scheme:dark){:root{--paper:#12110f;--card:#201e1b;--ink:#f4f0e8;--soft:#bab2a5;--line:#4d483f;
--good:#7fd4bd;--deed:#f4f0e8;--on-deed:#1d1b18}}
*{box-sizing:border-box;margin:0}
html{-webkit-text-size-adjust:100%}
body{min-height:100vh;min-height:100svh;display:flex;flex-direction:column;padding:0 1rem;
font:1.0625rem/1.5 -apple-system,Roboto,"Segoe UI","Helvetica Neue",Arial,sans-serif;color:var(--ink);
background:var(--paper);overflow-wrap:anywhere}
header,main,footer{width:100%;max-width:26rem;margin:0 auto}
header{padding:1.5rem .25rem 1rem;font-size:1.125rem;font-weight:700;text-align:center}
main{flex:1}
.card{background:var(--card);border-radius:1.25rem;padding:1.75rem 1.5rem;
box-shadow:0 1px 2px #0001,0 .75rem 2rem #0000000f}
.card+.card{margin-top:1rem}
h1,h2{font-size:1.625rem;line-height:1.2;letter-spacing:-.01em;text-wrap:balance}
p+p,h1+p,h2+p{margin-top:.75rem}
.soft{color:var(--soft)}
.mark{display:block;width:3.5rem;height:3.5rem;margin-bottom:1.25rem;fill:none;stroke:var(--good);stroke-width:2;
stroke-linecap:round;stroke-linejoin:round}
.mark.soft{stroke:var(--soft)}
button{display:block;width:100%;min-height:3.5rem;margin-top:1.5rem;padding:.75rem 1rem;border:0;border-radius:1rem;
font:inherit;font-weight:700;color:var(--on-deed);background:var(--deed);cursor:pointer}
footer{display:flex;flex-wrap:wrap;justify-content:center;gap:0 1.5rem;padding:1rem 0 1.5rem}
footer a{display:inline-flex;align-items:center;min-height:2.75rem;min-width:2.75rem;justify-content:center;
color:var(--soft);text-underline-offset:.2em}
:focus-visible{outline:3px solid var(--good);outline-offset:3px;border-radius:.5rem}
button:focus-visible{border-radius:1rem}
"""
DONE = '<circle cx="12" cy="12" r="10.5"/><path d="m7.5 12.5 3 3 6-6.5"/>'
OVER = '<circle cx="12" cy="12" r="10.5"/><path d="M12 6.5V12l3.5 2.5"/>'
ASTRAY = '<circle cx="12" cy="12" r="10.5"/><path d="m8.5 8.5 7 7m0-7-7 7"/>'


def page(language: str, title: str, body: str, style: str = "") -> bytes:
    """`body` is HTML: a `main`, with a `header` and a `footer` round it where there is something to put there."""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="robots" content="noindex"><meta name="format-detection" content="telephone=no">'
        # No icon: otherwise browsers ask for one.
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body>{body}</body></html>"
    ).encode()


def mark(drawing: str) -> str:
    """A drawing that says what the words beside it say."""
    tone = "mark" if drawing == DONE else "mark soft"
    return f'<svg class="{tone}" viewBox="0 0 24 24" aria-hidden="true">{drawing}</svg>'
