"""HTTP: the API behind its key and its idempotency keys, the pages, and the stand-in's own routes."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from deploy.local.stripe import forms, pages
from deploy.local.stripe.api import Api
from deploy.local.stripe.book import Book
from deploy.local.stripe.control import Control
from deploy.local.stripe.errors import RefusedError
from deploy.local.stripe.sessions import Sessions

Answered = tuple[int, bytes]


class Routes:
    """Every change is kept before it is answered."""

    def __init__(self, secret_key: str, book: Book, api: Api, sessions: Sessions, control: Control) -> None:
        self._secret_key, self._book, self._api, self._sessions = secret_key.encode(), book, api, sessions
        self._control = control
        both = ["GET", "POST"]
        self.app = Starlette(
            routes=[
                Route("/v1/{path:path}", self._v1, methods=both),
                Route("/pay/{id}", self._pay, methods=both),
                Route("/portal/{id}", self._portal, methods=both),
                Route("/_stand-in/{path:path}", self._stand_in, methods=both),
            ]
        )

    async def _v1(self, request: Request) -> Response:
        key = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if not hmac.compare_digest(key, self._secret_key):
            return _json(RefusedError(401, "Invalid API Key provided"))
        text = (await request.body()).decode() if request.method == "POST" else request.url.query
        self._control.requests += 1
        if self._control.is_away():
            return _json(RefusedError(500, "An unknown error occurred", "api_error"))
        key_given = request.headers.get("idempotency-key", "") if request.method == "POST" else ""
        status, body = self._once(key_given, request, text)
        return Response(body, status, media_type="application/json")

    def _once(self, key: str, request: Request, text: str) -> Answered:
        """What this key was answered before; under a used key nothing happens again."""
        asked = hashlib.sha256(f"{request.url.path} {text}".encode()).hexdigest()
        if key and (kept := self._book.answers.get(key)):
            if kept["asked"] != asked:
                refusal = RefusedError(
                    400, "Keys for idempotent requests can only be used with the same parameters.", "idempotency_error"
                )
                return refusal.status, orjson.dumps(refusal.body)
            return kept["status"], kept["body"].encode()
        status, body = self._answered(request, text)
        if key:
            self._book.remember(key, {"asked": asked, "status": status, "body": body.decode()})
        self._book.keep()
        return status, body

    def _answered(self, request: Request, text: str) -> Answered:
        try:
            shown = self._api.answer(request.method, request.path_params["path"], forms.parsed(text))
        except RefusedError as refused:
            return refused.status, orjson.dumps(refused.body)
        return 200, orjson.dumps(shown)

    async def _pay(self, request: Request) -> Response:
        return await self._guarded(self._paid, request)

    async def _paid(self, request: Request) -> Response:
        session = self._book.get("checkout.session", request.path_params["id"])
        if request.method == "GET":
            return HTMLResponse(pages.session(session))
        action = forms.parsed((await request.body()).decode()).get("action")
        press = {"pay": self._sessions.pay, "pay-later": self._sessions.pay_later, "fail": self._sessions.fail}
        if action == "cancel":
            return RedirectResponse(session["cancel_url"] or "/", 303)
        if action not in press:
            raise RefusedError(400, "no such button")
        press[action](session["id"])
        self._book.keep()
        is_done = session["status"] == "complete"
        return RedirectResponse(session["success_url"], 303) if is_done else HTMLResponse(pages.session(session))

    async def _portal(self, request: Request) -> Response:
        return await self._guarded(self._portalled, request)

    async def _portalled(self, request: Request) -> Response:
        portal = self._book.get("billing_portal.session", request.path_params["id"])
        customer = self._book.get("customer", portal["customer"])
        if request.method == "POST":
            action = forms.parsed((await request.body()).decode()).get("action")
            customer["_"]["declines"] = action == "bad"
            self._book.keep()
        return HTMLResponse(pages.portal(self._book, customer, portal["return_url"]))

    async def _stand_in(self, request: Request) -> Response:
        return await self._guarded(self._controlled, request)

    async def _controlled(self, request: Request) -> Response:
        text = await request.body()
        shown = self._control.answer(request.path_params["path"], orjson.loads(text) if text else {})
        self._book.keep()
        return Response(orjson.dumps(shown), media_type="application/json")

    async def _guarded(self, answer: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
        try:
            return await answer(request)
        except RefusedError as refused:
            return _json(refused)


def _json(refused: RefusedError) -> Response:
    return Response(orjson.dumps(refused.body), refused.status, media_type="application/json")
