"""Named places at which a test may kill, freeze or fail this process. Nothing at all unless `CRASH_FILE` is set.

`CRASH_FILE` names a plan, such as `sender.intent kill 2`: whoever passes that point for the second time takes the plan
away, and dies. So a plan fires once, however many processes were started with it, and a restarted one finds none.
What is left of it is `<plan>.<process id>`, by which the harness knows whom to thaw.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

SETTING = "CRASH_FILE"


class InjectedError(Exception):
    """What a plan of `error` raises: no anticipated one, so nothing may catch it by its class."""


def _fail() -> None:
    raise InjectedError


INJURIES: dict[str, Callable[[], None]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "error": _fail,
}


def planned(file: Path) -> Callable[[str], None]:
    """A `point` that looks at the plan in the file each time it is passed."""
    passes: Counter[str] = Counter()

    def point(name: str) -> None:
        try:
            plan = file.read_text()
            where, injury, nth = plan.split()
            if where != name:
                return
            passes[plan] += 1
            if passes[plan] < int(nth):
                return
            file.rename(file.with_name(f"{file.name}.{os.getpid()}"))
        except FileNotFoundError:  # no plan, or another process was faster
            return
        passes.clear()
        INJURIES[injury]()

    return point


def _nothing(name: str) -> None:
    """In production."""


point: Callable[[str], None] = planned(Path(os.environ[SETTING])) if os.environ.get(SETTING) else _nothing
