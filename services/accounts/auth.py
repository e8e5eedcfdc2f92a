"""The RPCs that let people in."""

import secrets
import uuid
from datetime import UTC, datetime

from astronote.accounts.v1 import accounts_pb2 as pb
from astronote.accounts.v1 import accounts_pb2_grpc as rpc
from astronote.accounts.v1.events_pb2 import MerchantRegistered
from kit import caller, rows
from kit.app import App
from kit.interceptors import Context
from services.accounts import credentials, lockout, profile, signing
from services.accounts.errors import CredentialsWrong, CurrentPasswordWrong, LoginNeeded, RefreshTokenInvalid
from services.accounts.lockout import Subject
from services.accounts.rotation import SigningKeys
from services.accounts.settings import Settings
from services.accounts.signing import RefreshToken
from services.accounts.store import AccountStore


class Auth(rpc.AuthServiceServicer):
    def __init__(self, app: App[Settings], keys: SigningKeys) -> None:
        self._database, self._keys = app.database, keys
        self._secret = app.settings.encryption_key()
        self._passwords = credentials.Passwords(app.settings.password_threads)

    async def Register(self, request: pb.RegisterRequest, context: Context) -> pb.Session:
        email, password = credentials.email(request.email), credentials.password(request.password)
        merchant = _merchant(request)
        async with AccountStore.open_pipeline(self._database) as store:
            await lockout.begin_registration(store, email, self._secret, datetime.now(UTC))
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
        email = credentials.normal_email(request.email)
        subject = self._subject("user", email)
        # The email says which merchant it is: looked up across all of them.
        async with AccountStore.open_pipeline(self._database) as store:
            await lockout.begin(store, subject, datetime.now(UTC))
            user = await store.user(email)
        if not await self._matches(user, request.password, subject) or user is None:
            raise CredentialsWrong
        now, token = datetime.now(UTC), _token(str(uuid.uuid4()))
        async with AccountStore.open(self._database, user.merchant_id) as store:
            # A password that was changed since it was looked at opens nothing.
            if not await store.has_password(user.id, user.password_hash):
                raise CredentialsWrong
            merchant = await store.merchant(user.merchant_id)
            await _begin(store, user.id, token, now)
        return await self._session(merchant, user.id, token, now)

    async def LoginOperator(self, request: pb.LoginOperatorRequest, context: Context) -> pb.OperatorSession:
        email = credentials.normal_email(request.email)
        subject = self._subject("operator", email)
        async with AccountStore.open_pipeline(self._database) as store:
            await lockout.begin(store, subject, datetime.now(UTC))
            operator = await store.operator(email)
        if not await self._matches(operator, request.password, subject) or operator is None:
            raise CredentialsWrong
        claims = {"user_id": operator.id, "role": signing.OPERATOR, "id": str(uuid.uuid4())}
        token = await self._keys.access_token(datetime.now(UTC), **claims)
        return pb.OperatorSession(access_token=token, expires_in=signing.ACCESS_SECONDS)

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Context) -> pb.Session:
        user_id, password = _user_id(), credentials.password(request.new_password, "new_password")
        async with AccountStore.open(self._database, caller.merchant_id()) as store:
            user = await store.user_by_id(user_id)
        if user is None:
            raise LoginNeeded
        # Who has a stolen token may not guess on here.
        subject = self._subject("change", user_id)
        async with AccountStore.open_pipeline(self._database) as store:
            await lockout.begin(store, subject, datetime.now(UTC))
        if not await self._matches(user, request.current_password, subject):
            raise CurrentPasswordWrong(field="current_password")
        new_hash = await self._passwords.hash(password)
        now, token = datetime.now(UTC), _token(str(uuid.uuid4()))
        async with AccountStore.open(self._database, caller.merchant_id()) as store:
            if not await store.change_password(user_id, old_hash=user.password_hash, new_hash=new_hash):
                raise CurrentPasswordWrong(field="current_password")
            await store.revoke_sessions(user_id, now)
            merchant = await store.merchant(caller.merchant_id())
            await _begin(store, user_id, token, now)
        return await self._session(merchant, user_id, token, now)

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
        return pb.KeySet(keys=[signing.published(key) for key in await self._keys.published(datetime.now(UTC))])

    def _subject(self, kind: str, name: str) -> Subject:
        return lockout.subject(kind, name, caller.client_address(), self._secret)

    async def _matches(self, user: rows.AnyRow | None, password: str, subject: Subject) -> bool:
        """Takes the same time whether or not there is such a user. A match is no failed attempt."""
        if not await self._passwords.matches(user.password_hash if user else None, password):
            return False
        async with AccountStore.open_pipeline(self._database) as store:
            await lockout.succeed(store, subject, datetime.now(UTC))
        return True

    async def _session(self, merchant: pb.Merchant, user_id: str, token: RefreshToken, now: datetime) -> pb.Session:
        access_token = await self._keys.access_token(
            now, user_id=user_id, merchant_id=merchant.id, id=str(uuid.uuid4())
        )
        return pb.Session(
            access_token=access_token,
            expires_in=signing.ACCESS_SECONDS,
            refresh_token=token.text(),
            merchant=merchant,
        )


def _user_id() -> str:
    """Refuses `LoginNeeded` to an API key, and to a user whom another issuer knows: neither has a password here."""
    return rows.uuid(caller.current().user_id, LoginNeeded)


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
