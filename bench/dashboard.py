"""The dashboard of a merchant with ten million texts behind it, beside others as busy in the same tables."""

import itertools
from collections.abc import Iterator

from bench.arena import Arena
from bench.figures import Figure
from bench.http_load import request

# A text in every quarter of an hour of two years, 143 a quarter: ten million.
QUARTERS, TEXTS_A_QUARTER, OTHERS = 70_080, 143, 20
SECONDS = 4.0
MILLISECONDS = 50.0
HISTORY = """
    INSERT INTO merchant_history (merchant_id, start_time, submitted, delivered, credits)
    SELECT merchant, date_bin('15 minutes', now(), 'epoch') - quarter * interval '15 minutes',
           %(texts)s, %(texts)s, %(texts)s
    FROM unnest(%(merchants)s::uuid[] || array(SELECT gen_random_uuid() FROM generate_series(1, %(others)s))) merchant,
         generate_series(1, %(quarters)s) quarter
"""


def run(arena: Arena) -> Iterator[Figure]:
    shop = arena.shop()
    values = {"merchants": [shop.session["merchant"]["id"]], "others": OTHERS}
    with arena.connection("campaigns") as connection:
        connection.execute(HISTORY, values | {"quarters": QUARTERS, "texts": TEXTS_A_QUARTER})
    with arena.owner("campaigns") as connection:
        connection.execute("ANALYZE merchant_history")
    token = {"authorization": f"Bearer {shop.session['accessToken']}"}
    for days in (30, 92):
        asked = itertools.repeat(request("GET", f"/v1/dashboard?days={days}", token))
        load = arena.load(asked, SECONDS, connections=1)
        aim = MILLISECONDS if days == 30 else None
        yield Figure(f"dashboard of {days} days, p50", load.quantile(0.5), "ms", aim, more_is_better=False)
        yield Figure(f"dashboard of {days} days, p99", load.quantile(0.99), "ms", more_is_better=False)
