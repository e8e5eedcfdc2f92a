"""What people see: the page on which a session is paid, and the portal. Forms without script: a test can press them."""

from html import escape

from deploy.local.stripe.book import Book, Object

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Stripe (stand-in)</title>
<style>body{font:16px system-ui;max-width:26rem;margin:3rem auto;padding:0 1rem}
button{font:inherit;display:block;width:100%;margin:.5rem 0;padding:.7rem}</style>
"""


def money(cents: int, currency: str) -> str:
    return f"{cents // 100}.{cents % 100:02d} {currency.upper()}"


def session(found: Object) -> str:
    title = f"<h1>{money(found['amount_total'], found['currency'])}</h1>"
    if found["status"] != "open":
        return f"{_HEAD}{title}<p>This session is {escape(found['status'])}.</p>"
    buttons = "".join(_button(action, words) for action, words in _actions(found))
    return f"{_HEAD}{title}<p>No money moves: this is a stand-in for Stripe.</p><form method=post>{buttons}</form>"


def portal(book: Book, customer: Object, return_url: str) -> str:
    invoices = "".join(
        f"<li>{money(invoice['total'], invoice['currency'])}: {escape(invoice['status'])}</li>"
        for invoice in book.all("invoice", customer=customer["id"])
    )
    card = "is declined" if customer["_"]["declines"] else "is good"
    change = _button("good", "Use a good card") + _button("bad", "Use a card that is declined")
    return (
        f"{_HEAD}<h1>Billing</h1><p>The card {card}.</p><form method=post>{change}</form>"
        f'<ul>{invoices}</ul><p><a href="{escape(return_url)}">Back</a></p>'
    )


def _actions(found: Object) -> list[tuple[str, str]]:
    takes_days = [("pay-later", "Pay by a bank's debit, which takes days")] if found["mode"] == "payment" else []
    return [("pay", "Pay"), *takes_days, ("fail", "Fail: the card is declined"), ("cancel", "Cancel")]


def _button(action: str, words: str) -> str:
    return f'<button name=action value="{action}">{escape(words)}</button>'
