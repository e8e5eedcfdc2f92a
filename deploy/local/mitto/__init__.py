"""A stand-in for Mitto, the SMS provider: it speaks Messages API v1.1 and remembers what it accepted.

Owns the record of accepted messages, which is the oracle of the crash tests, and posts delivery reports and
inbound messages to the gateway's webhooks. `python -m deploy.local.mitto` runs it as a process; tests start it
inside their own event loop:

    async with MittoStandIn(api_key="key", callback_url="http://127.0.0.1:8080", callback_secret="s") as mitto:
        mitto.url, mitto.summary(), mitto.change_behaviour({"outcomes": {"ok": 0, "garbage": 1}})

Read from the top: `server` (life cycle), `routes` (HTTP), `submissions` (the provider), `control` (`/_stand-in/*`),
`behaviour` (faults on demand), `record` and `oracle` (what was accepted), `reports` and `callbacks` (webhooks).
"""

from deploy.local.mitto.server import MittoStandIn

__all__ = ["MittoStandIn"]
