"""Who opens a link: one of the text's readers, or a machine that follows links by itself.

A machine's is what no person waits for (a `HEAD`, a prefetch), what comes from no browser or from one that says it is
a robot, and what comes sooner than anybody can read: carriers scan texts on their way. Who is taken for a machine gets
the same answer; only where it is counted differs.
"""

import re

# From the moment that the text is handed to the senders: nobody has it, reads it and taps it in that time.
AT_ONCE_SECONDS = 3
# Every browser's agent begins so (RFC 9110, 10.1.5, and history); libraries, previews and scanners mostly do not.
BROWSER = re.compile(r"(Mozilla|Opera)/\d")
# What robots put into an agent that otherwise looks like a browser's. A Cubot is a phone.
ROBOT = re.compile(
    r"(?<!cu)bot|crawl|spider|scan|preview|prefetch|headless|phantomjs|facebookexternalhit|facebookcatalog|embedly"
    r"|google-(?:read-aloud|safety|inspectiontool)|proofpoint|mimecast|barracuda|safelinks|urldefense|virustotal"
    r"|python|curl|wget|httpclient|okhttp|monitor|slurp",
    re.IGNORECASE,
)


def is_machine(agent: str, purpose: str, sent_seconds: float | None) -> bool:
    """By the `User-Agent`, by what the request was for (`kit.caller.client_purpose`), and by how long ago the text was
    handed to the senders, where that is known.
    """
    if purpose or not BROWSER.match(agent) or ROBOT.search(agent):
        return True
    return sent_seconds is not None and sent_seconds < AT_ONCE_SECONDS
