"""Who a request comes from: what its `Authorization` proves, held against what its method asks for."""

from dataclasses import dataclass

from astronote.accounts.v1.accounts_pb2 import ApiKey
from services.gateway.api_keys import PREFIX, ApiKeys
from services.gateway.errors import MerchantOnly, OperatorOnly, ScopeMissing, TokenInvalid, TokenMissing
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
    def __init__(self, tokens: Tokens, api_keys: ApiKeys) -> None:
        self._tokens, self._api_keys = tokens, api_keys

    async def principal(self, role: str, authorization: str, *, changes_nothing: bool = False) -> Principal:
        """Who calls a method of this role.

        Refuses `TokenMissing`, `TokenInvalid`, `OperatorOnly`, `MerchantOnly`, `ScopeMissing`, `KeysUnavailable`.
        """
        if role not in (MERCHANT, OPERATOR):
            return Principal(role)
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise TokenMissing
        if text.startswith(PREFIX):
            return await self._program(role, text, ApiKey.READ if changes_nothing else ApiKey.WRITE)
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
