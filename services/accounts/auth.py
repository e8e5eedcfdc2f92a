"""The RPCs that let people in."""

import secrets
import uuid
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from astronote.accounts.v1 import accounts_pb2 as pb
from astronote.accounts.v1 import accounts_pb2_grpc as rpc
from astronote.accounts.v1.events_pb2 import MerchantRegistered
from kit.app import App
from kit.interceptors import Context
from services.accounts import credentials, profile, signing
from services.accounts.errors import CredentialsWrong, RefreshTokenInvalid
from services.accounts.settings import Settings
from services.accounts.signing import RefreshToken, SigningKey
from services.accounts.store import AccountStore


class Auth(rpc.AuthServiceServicer):
    def __init__(self, app: App[Settings]) -> None:
        self._database = app.database
        self._encryption_key = app.settings.encryption_key()
        self._passwords = credentials.Passwords(app.settings.password_threads)

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.Session:
        email, password = credentials.email(request.email), credentials.password(request.password)
        merchant = _merchant(request)
        # Before the transaction: a connection is not held while a password is hashed.
        password_hash = await self._passwords.hash(password)
        now, user_id, token = datetime.now(UTC), str(uuid.uuid4()), _token(str(uuid.uuid4()))
        merchant.create_time.FromDatetime(now)
        async with AccountStore.open(self._database, merchant.id) as store:
            await store.add_merchant(merchant)
            await store.add_user(user_id, email=email, password_hash=password_hash, now=now)
            await _begin(store, user_id, token, now)
            await store.emit(MerchantRegistered(merchant_id=merchant.id))
        return await self._session(merchant, user_id, token, now)

    async def Login(self, request: pb.LoginRequest, context: Context) -> pb.Session:
        # The email says which merchant it is: looked up across all of them.
        async with AccountStore.open_pipeline(self._database) as store:
            user = await store.user(credentials.normal_email(request.email))
        password_hash = user.password_hash if user else None
        if not await self._passwords.matches(password_hash, request.password) or user is None:
            raise CredentialsWrong
        now, token = datetime.now(UTC), _token(str(uuid.uuid4()))
        async with AccountStore.open(self._database, user.merchant_id) as store:
            merchant = await store.merchant(user.merchant_id)
            await _begin(store, user.id, token, now)
        return await self._session(merchant, user.id, token, now)

    async def Refresh(self, request: pb.RefreshRequest, context: Context) -> pb.Session:
        now, old = datetime.now(UTC), RefreshToken.parse(request.refresh_token)
        new = _token(old.session_id)
        # The token says which merchant it is: looked up across all of them.
        async with AccountStore.open_pipeline(self._database) as store:
            user = await store.renew_session(
                old.session_id,
                token_hash=old.hash(),
                new_hash=new.hash(),
                now=now,
                expire_time=now + signing.REFRESH_LIFE,
            )
            if user is None:
                # It was used before, by its owner or by a thief: nobody goes on with this family.
                await store.revoke_session(old.session_id, now)
            else:
                merchant = await store.merchant(user.merchant_id)
        # Only now, since the revocation has to be committed.
        if user is None:
            raise RefreshTokenInvalid
        return await self._session(merchant, user.user_id, new, now)

    async def Logout(self, request: pb.LogoutRequest, context: Context) -> pb.LogoutResponse:
        try:
            token = RefreshToken.parse(request.refresh_token)
        except RefreshTokenInvalid:
            return pb.LogoutResponse()
        # As in Refresh: the token alone says whose it is.
        async with AccountStore.open_pipeline(self._database) as store:
            await store.revoke_session(token.session_id, datetime.now(UTC))
        return pb.LogoutResponse()

    async def GetKeys(self, request: pb.GetKeysRequest, context: Context) -> pb.KeySet:
        return pb.KeySet(keys=[signing.published(key) for key in await self._keys(datetime.now(UTC))])

    async def _session(self, merchant: pb.Merchant, user_id: str, token: RefreshToken, now: datetime) -> pb.Session:
        newest = (await self._keys(now))[0]
        private_key = signing.opened(newest, self._encryption_key)
        access_token = signing.access_token(
            newest.kid, private_key, user_id=user_id, merchant_id=merchant.id, now=now, id=str(uuid.uuid4())
        )
        return pb.Session(
            access_token=access_token,
            expires_in=signing.ACCESS_SECONDS,
            refresh_token=token.text(),
            merchant=merchant,
        )

    async def _keys(self, now: datetime) -> list[SigningKey]:
        """The valid signing keys, newest first; the first one is made here. They are the whole mesh's."""
        async with AccountStore.open_pipeline(self._database) as store:
            if keys := await store.signing_keys(now):
                return keys
            await store.lock_signing_keys()
            if keys := await store.signing_keys(now):
                return keys
            nonce = secrets.token_bytes(signing.NONCE_BYTES)
            key = signing.sealed(Ed25519PrivateKey.generate(), self._encryption_key, nonce, now)
            await store.add_signing_key(key)
            return [key]


def _merchant(request: pb.RegisterRequest) -> pb.Merchant:
    merchant = pb.Merchant(
        id=str(uuid.uuid4()),
        company=request.company,
        sender_name=request.sender_name,
        time_zone=request.time_zone or profile.DEFAULT_TIME_ZONE,
        country=request.country or profile.DEFAULT_COUNTRY,
    )
    profile.check(merchant, ["company", "sender_name", "time_zone", "country"])
    return merchant


def _token(session_id: str) -> RefreshToken:
    return RefreshToken(session_id, secrets.token_bytes(signing.SECRET_BYTES))


async def _begin(store: AccountStore, user_id: str, token: RefreshToken, now: datetime) -> None:
    await store.add_session(
        token.session_id,
        user_id=user_id,
        token_hash=token.hash(),
        now=now,
        expire_time=now + signing.REFRESH_LIFE,
    )
