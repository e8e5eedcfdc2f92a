"""A change of password."""

import asyncio
from typing import Any

import pytest

from astronote.accounts.v1 import accounts_pb2 as pb
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from tests.accounts.client import PASSWORD, Client, column, refused

NEW = "ένας νέος κωδικός"


class User(Client):
    async def enter(self) -> pb.Session:
        session = await self.register()
        self.user_id = (await self.claims(session.access_token))["sub"]
        return session

    async def change(self, old: str = PASSWORD, new: str = NEW) -> pb.Session:
        request = pb.ChangePasswordRequest(current_password=old, new_password=new)
        return await self.as_user(AuthServiceStub, "ChangePassword", request, self.user_id)


@pytest.fixture
def user(mesh: Any) -> User:
    return User(mesh)


async def test_a_new_password_opens_and_the_old_one_and_all_sessions_do_not(user: User, mesh: Any):
    first, second, bystander = await user.enter(), await user.login(), Client(mesh)
    other = await bystander.register()
    session = await user.change()
    assert session.merchant == first.merchant
    for old in (first, second):
        assert await refused(user.refresh(old.refresh_token)) == ("REFRESH_TOKEN_INVALID", "")
    assert await user.refresh(session.refresh_token)
    assert await refused(user.login()) == ("CREDENTIALS_WRONG", "")
    assert await user.login(NEW)
    assert await bystander.refresh(other.refresh_token)


async def test_it_takes_the_current_password_and_a_good_new_one(user: User):
    session = await user.enter()
    assert await refused(user.change("wrong password")) == ("CURRENT_PASSWORD_WRONG", "current_password")
    assert await refused(user.change(new="short")) == ("PASSWORD_INVALID", "new_password")
    assert await refused(user.change(old="")) == ("FIELD_REQUIRED", "current_password")
    assert await user.refresh(session.refresh_token)
    assert await user.login()


async def test_of_two_changes_at_once_one_wins(user: User):
    await user.enter()
    news = [f"new password {number}" for number in range(5)]
    answers = await asyncio.gather(*(user.change(new=new) for new in news), return_exceptions=True)
    won = [new for new, answer in zip(news, answers, strict=True) if isinstance(answer, pb.Session)]
    assert len(won) == 1
    assert await user.login(won[0])


async def test_a_login_with_the_old_password_that_is_under_way_does_not_survive(user: User, mesh: Any):
    await user.enter()
    logins = [asyncio.create_task(user.login()) for _ in range(6)]
    await user.change()
    answers = await asyncio.gather(*logins, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, pb.Session):
            assert await refused(user.refresh(answer.refresh_token)) == ("REFRESH_TOKEN_INVALID", "")
    alive = "SELECT id FROM sessions WHERE user_id = :id AND revoke_time IS NULL"
    assert len(await column(mesh, alive, id=user.user_id)) == 1


@pytest.mark.parametrize("user_id", ["", "auth0|someone", "0b5e7a52-3d0a-4e0c-9a52-8d4f6f7a1b99"])
async def test_who_has_no_password_here_changes_none(user: User, user_id: str):
    await user.enter()
    user.user_id = user_id
    assert (await refused(user.change()))[0] == "LOGIN_NEEDED"


async def test_another_merchants_user_changes_nothing(user: User, mesh: Any):
    await user.enter()
    stranger = User(mesh)
    await stranger.enter()
    stranger.user_id = user.user_id
    assert (await refused(stranger.change()))[0] == "LOGIN_NEEDED"
    assert await user.login()


@pytest.mark.usefixtures("clock")
async def test_guessing_with_a_stolen_token_is_slowed_down_and_the_owner_logs_in_all_the_same(user: User):
    await user.enter()
    refusals = [await refused(user.change(f"wrong password {number}")) for number in range(25)]
    assert refusals[-1] == ("LOGIN_LOCKED", "")
    assert await user.login()
