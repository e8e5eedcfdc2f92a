"""The pages behind the links: for a phone, without a script, in Greek and English at once."""

from google.api.httpbody_pb2 import HttpBody

_PAGE = """<!doctype html>
<html lang="el">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
body {{ font: 1.125rem/1.5 system-ui, sans-serif; margin: 0; padding: 2rem 1.25rem; color: #1b1b1f; background: #fff }}
main {{ max-width: 28rem; margin: 0 auto }}
h1 {{ font-size: 1.5rem; line-height: 1.25 }}
button {{ font: inherit; font-weight: 600; width: 100%; padding: 1rem; border: 0; border-radius: .75rem;
  color: #fff; background: #8a1c1c }}
button:focus-visible {{ outline: 3px solid #1b1b1f; outline-offset: 3px }}
[lang=en] {{ color: #55555e }}
</style>
</head>
<body><main>{body}</main></body>
</html>
"""
_ASK = """<h1>Διαγραφή από τα μηνύματα</h1>
<p>Δεν θα λαμβάνετε πια μηνύματα από αυτό το κατάστημα.</p>
<p lang="en">You will get no more texts from this shop.</p>
<form method="post" action="/u/{code}"><button>Διαγραφή · Unsubscribe</button></form>
"""
_DONE = """<h1>Έγινε. Δεν θα σας ξαναστείλουμε.</h1>
<p lang="en">Done. You will get no more texts from this shop.</p>
"""


def unsubscribe(code: str) -> HttpBody:
    """Asks; `code` has been resolved, so it is eleven letters and digits."""
    return _html("Διαγραφή · Unsubscribe", _ASK.format(code=code))


def unsubscribed() -> HttpBody:
    return _html("Έγινε · Done", _DONE)


def _html(title: str, body: str) -> HttpBody:
    return HttpBody(content_type="text/html; charset=utf-8", data=_PAGE.format(title=title, body=body).encode())
