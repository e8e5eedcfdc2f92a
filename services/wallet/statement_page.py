"""A statement as a page that is printed, in Greek or in English."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

from astronote.wallet.v1.statements_pb2 import GetStatementRequest
from kit import webpage
from services.wallet.statements import Balances, DayLine, Month

STYLE = """
header,main{max-width:60rem}
h1{margin-bottom:1rem}
.sheet{overflow-x:auto}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.4rem .6rem;border-bottom:1px solid var(--line);text-align:left;overflow-wrap:normal}
td.number,th.number{text-align:right;white-space:nowrap}
tr.stand{font-weight:700}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--soft:#333;--line:#999}
body{font-size:10pt;padding:0}.card{box-shadow:none;padding:0}thead{display:table-header-group}tr{break-inside:avoid}}
"""
BODY = Template("""<header>$company</header><main><div class="card"><h1>$title</h1><p class="soft">$period</p>
<div class="sheet"><table><thead><tr><th scope="col">$day</th><th scope="col">$what</th>
<th scope="col" class="number">$transactions</th><th scope="col" class="number">$available</th>
<th scope="col" class="number">$held</th><th scope="col" class="number">$spent</th>
<th scope="col" class="number">$balance</th><th scope="col" class="number">$debt</th></tr>
</thead><tbody>$lines</tbody></table></div></div></main>""")
LINE = Template("""<tr$mark><td>$day</td><td>$what</td><td class="number">$transactions</td>
<td class="number">$available</td><td class="number">$held</td><td class="number">$spent</td>
<td class="number">$balance</td><td class="number">$debt</td></tr>""")


@dataclass(frozen=True)
class Words:
    """`kinds` are those of transactions, by name; one that is new goes by its name."""

    language: str
    title: str
    period: str
    day: str
    what: str
    transactions: str
    available: str
    held: str
    spent: str
    balance: str
    debt: str
    opening: str
    closing: str
    kinds: Mapping[str, str]


GREEK = Words(
    language="el",
    title="Κίνηση μονάδων",
    period="Από {start} έως {end} ({time_zone})",
    day="Ημέρα",
    what="Κίνηση",
    transactions="Πλήθος",
    available="Διαθέσιμες",
    held="Δεσμευμένες",
    spent="Χρήση",
    balance="Υπόλοιπο",
    debt="Οφειλή",
    opening="Αρχικό υπόλοιπο",
    closing="Τελικό υπόλοιπο",
    kinds={
        "GRANT": "Δωρεάν μονάδες",
        "PURCHASE": "Αγορά",
        "HOLD": "Δέσμευση για αποστολή",
        "SETTLE": "Αποστολή",
        "CLOSE": "Επιστροφή δέσμευσης",
        "REFUND": "Επιστροφή πληρωμής",
        "DISPUTE": "Αμφισβήτηση πληρωμής",
        "EXPIRE": "Λήξη προσφοράς",
    },
)
ENGLISH = Words(
    language="en",
    title="Statement of credits",
    period="{start} to {end} ({time_zone})",
    day="Day",
    what="What",
    transactions="Count",
    available="Available",
    held="Held",
    spent="Used",
    balance="Balance",
    debt="Owed",
    opening="Opening balance",
    closing="Closing balance",
    kinds={
        "GRANT": "Given",
        "PURCHASE": "Bought",
        "HOLD": "Set aside for sending",
        "SETTLE": "Sent",
        "CLOSE": "Given back",
        "REFUND": "Payment given back",
        "DISPUTE": "Payment disputed",
        "EXPIRE": "Expired",
    },
)
WORDS: Mapping["GetStatementRequest.Language.ValueType", Words] = {
    GetStatementRequest.LANGUAGE_UNSPECIFIED: GREEK,
    GetStatementRequest.EL: GREEK,
    GetStatementRequest.EN: ENGLISH,
}


def page(words: Words, company: str, month: Month, opening: Balances, days: Sequence[DayLine]) -> bytes:
    balances, lines = opening, [_stand(words.opening, opening)]
    for each in days:
        balances = balances.after(each.change)
        shown = {name: _signed(change) for name, change in each.change._asdict().items()}
        what = words.kinds.get(each.kind, each.kind)
        lines.append(
            LINE.substitute(
                shown,
                mark="",
                day=each.day,
                what=what,
                transactions=each.transactions,
                balance=_number(balances.available),
            )
        )
    lines.append(_stand(words.closing, balances))
    times = {"start": f"{month.start_time:%d.%m.%Y %H:%M}", "end": f"{month.end_time:%d.%m.%Y %H:%M}"}
    body = BODY.substitute(
        company=escape(company),
        title=words.title,
        period=escape(words.period.format(**times, time_zone=month.time_zone)),
        day=words.day,
        what=words.what,
        transactions=words.transactions,
        available=words.available,
        held=words.held,
        spent=words.spent,
        balance=words.balance,
        debt=words.debt,
        lines="".join(lines),
    )
    return webpage.page(words.language, f"{words.title} · {company}", body, STYLE)


def _stand(what: str, balances: Balances) -> str:
    """How the balances stand: as what they are, where a line says how they change."""
    shown = {name: _number(credits) for name, credits in balances._asdict().items()}
    return LINE.substitute(
        shown, mark=' class="stand"', day="", what=what, transactions="", balance=_number(balances.available)
    )


def _number(credits: int) -> str:
    return f"{credits:,}".replace(",", "\u202f")


def _signed(change: int) -> str:
    return "" if not change else ("+" if change > 0 else "−") + _number(abs(change))
