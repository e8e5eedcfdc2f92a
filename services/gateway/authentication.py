"""Who a request comes from: what its `Authorization` proves, held against what its method asks for."""

from dataclasses import dataclass

from astronote.accounts.v1.accounts_pb2 import ApiKey
from services.gateway.api_keys import PREFIX, ApiKeys
from services.gateway.errors import MerchantOnly, OperatorOnly, ScopeMissing, TokenInvalid, TokenMissing
from services.gateway.rates import Guesses
from services.gateway.tokens import Tokens

MERCHANT, OPERATOR = "merchant", "operator"


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a call goes into the mesh; empty ids where it is for nobody in particular. A merchant's call
    comes from a user or from an API key.
    """

    role: str
    merchant_id: str = ""
    user_id: str = ""
    api_key_id: str = ""


class Authentication:
    """`guesses` bounds what an address may try that proves nothing."""

    def __init__(self, tokens: Tokens, api_keys: ApiKeys, guesses: Guesses) -> None:
        self._tokens, self._api_keys, self._guesses = tokens, api_keys, guesses

    async def principal(
        self, role: str, authorization: str, network: str = "", *, changes_nothing: bool = False
    ) -> Principal:
        """Who calls a method of this role, from this network.

        Refuses `TokenMissing`, `TokenInvalid`, `OperatorOnly`, `MerchantOnly`, `ScopeMissing`, `KeysUnavailable`,
        `RateLimited`.
        """
        if role not in (MERCHANT, OPERATOR):
            return Principal(role)
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise TokenMissing
        is_program = text.startswith(PREFIX)
        # What was proven before is let through, so that nobody is locked out by his neighbours' guesses.
        if not (self._api_keys if is_program else self._tokens).knows(text):
            self._guesses.admit(network)
        try:
            if is_program:
                return await self._program(role, text, ApiKey.READ if changes_nothing else ApiKey.WRITE)
            return await self._user(role, text)
        except TokenInvalid:
            if not (self._api_keys if is_program else self._tokens).knows(text):
                self._guesses.note(network)
            raise

    async def _user(self, role: str, text: str) -> Principal:
        token = await self._tokens.verified(text)
        if role == OPERATOR:
            if token.role != OPERATOR:
                raise OperatorOnly
            return Principal(role, user_id=token.user_id)
        if token.role:
            raise MerchantOnly
        return Principal(role, token.merchant_id, token.user_id)

    async def _program(self, role: str, text: str, scope: "ApiKey.Scope.ValueType") -> Principal:
        key = await self._api_keys.get(text)
        if key is None:
            raise TokenInvalid
        if role == OPERATOR:
            raise OperatorOnly
        if scope not in key.scopes:
            raise ScopeMissing(scope=ApiKey.Scope.Name(scope))
        return Principal(role, key.merchant_id, api_key_id=key.id)
