"""The life of a stand-in: opens the record and posts reports."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.local.mitto.behaviour import Conduct
from deploy.local.mitto.callbacks import Callback
from deploy.local.mitto.control import Control
from deploy.local.mitto.record import Record, Submission
from deploy.local.mitto.reports import Reporter
from deploy.local.mitto.routes import Routes
from deploy.local.mitto.submissions import Submissions
from deploy.local.stand_in import StandIn


class MittoStandIn(StandIn):
    """Without `callback_url` (`http://host:port`) nothing is posted. With `data`, a folder, what was accepted and what
    is still to report survive. `behaviour` is merged into the default one.
    """

    def __init__(
        self,
        *,
        api_key: str,
        callback_url: str | None = None,
        callback_secret: str = "",
        data: Path | None = None,
        port: int = 0,
        behaviour: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(port)
        self._api_key = api_key
        self._callback_url = callback_url
        self._callback_secret = callback_secret
        self._data = data
        self._conduct = Conduct(behaviour)

    def summary(self) -> dict[str, Any]:
        """As `GET /_stand-in/summary`."""
        return self._control.totals()

    def accepted(self, destination: str) -> list[dict[str, Any]]:
        """As `GET /_stand-in/accepted`: what was accepted for `+E.164`."""
        return self._control.accepted_for(destination)

    def change_behaviour(self, changes: Mapping[str, Any]) -> None:
        """As `POST /_stand-in/behaviour`; raises pydantic's ValidationError for what it doesn't know."""
        self._conduct.change(changes)

    def open(self) -> Callable[..., Any]:
        self._record = Record(self._data)
        reporter, callback = None, None
        if self._callback_url is not None:
            url, secret = self._callback_url, self._callback_secret
            reporter, callback = Reporter(self._record, url, secret), lambda: Callback(url, secret)
        self._control = Control(self._record, self._conduct, reporter, callback)
        submissions = Submissions(self._record, self._conduct, reporter.schedule if reporter else _unreported)
        self._control.start()
        return Routes(self._api_key, submissions, self._control)

    async def close(self) -> None:
        await self._control.stop()
        self._record.close()


def _unreported(submission: Submission) -> None:
    """Without a callback address there is nobody to report to."""
