"""Statements over public forms, and over the people who sign up by them."""

from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import RowMapping, case, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from kit import rows
from kit.store import Store
from services.contacts.errors import FormNotFound, SignUpNotFound
from services.contacts.tables import forms, sign_ups

#: A form, a sign-up: its row.
FormRow: TypeAlias = RowMapping
SignUpRow: TypeAlias = RowMapping
KEPT = text("interval '2 days'")


class FormStatements(Store):
    async def add_form(self, values: dict[str, Any]) -> FormRow:
        statement = insert(forms).values(values | {"merchant_id": self.merchant_id}).returning(*forms.c)
        return (await self.connection.execute(statement)).mappings().one()

    async def form(self, id: str) -> FormRow:
        """Refuses `FormNotFound`."""
        return _form(await self.connection.execute(select(*forms.c).where(*self._form(id))))

    async def form_by_code(self, code: str) -> FormRow:
        """Across merchants: only its code says whose form it is. Refuses `FormNotFound`."""
        return _form(await self.connection.execute(select(*forms.c).where(forms.c.code == code)))

    async def form_page(self, after: str | None, limit: int) -> list[FormRow]:
        query = select(*forms.c).where(forms.c.merchant_id == self.merchant_id)
        if after:
            query = query.where(forms.c.id > after)
        return list((await self.connection.execute(query.order_by(forms.c.id).limit(limit))).mappings())

    async def update_form(self, id: str, values: dict[str, Any]) -> FormRow:
        """Refuses `FormNotFound`."""
        changes = values | {"update_time": func.now()}
        statement = update(forms).where(*self._form(id)).values(changes).returning(*forms.c)
        return _form(await self.connection.execute(statement))

    async def delete_form(self, id: str) -> None:
        """Refuses `FormNotFound`."""
        if not (await self.connection.execute(delete(forms).where(*self._form(id)))).rowcount:
            raise FormNotFound(id=id)

    async def count_submission(self, id: str, now: datetime) -> int:
        """How often a form was filled in within the hour, this time included."""
        is_same = forms.c.hour_time > now - func.make_interval(0, 0, 0, 0, 1)
        changes = {
            "hour_count": case((is_same, forms.c.hour_count + 1), else_=1),
            "hour_time": case((is_same, forms.c.hour_time), else_=now),
        }
        statement = update(forms).where(*self._form(id)).values(changes).returning(forms.c.hour_count)
        return int((await self.connection.execute(statement)).scalar_one())

    async def ask_to_confirm(self, values: dict[str, Any]) -> bool:
        """Keeps a sign-up whose text is due at once; false where the phone was asked within two days already."""
        row = values | {"merchant_id": self.merchant_id, "due_time": func.now()}
        statement = upsert(sign_ups).values(row)
        is_old = sign_ups.c.create_time < func.now() - KEPT
        names = ("id", "token", "form_id", "first_name", "due_time")
        changes: dict[str, Any] = {name: statement.excluded[name] for name in names}
        changes |= {"create_time": func.now(), "confirm_time": None}
        again = statement.on_conflict_do_update(index_elements=["merchant_id", "phone"], set_=changes, where=is_old)
        return bool((await self.connection.execute(again)).rowcount)

    async def sign_up(self, token: str) -> SignUpRow:
        """Locked. Refuses `SignUpNotFound`, also when it was too long ago."""
        is_young = sign_ups.c.create_time > func.now() - KEPT
        query = select(*sign_ups.c).where(sign_ups.c.token == token, is_young).with_for_update()
        row = (await self.connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise SignUpNotFound
        return row

    async def note_confirmed(self, sign_up: SignUpRow) -> None:
        statement = update(sign_ups).where(sign_ups.c.id == sign_up["id"]).values(confirm_time=func.now())
        await self.connection.execute(statement.where(sign_ups.c.merchant_id == sign_up["merchant_id"]))

    async def take_sign_up(self, lease_seconds: float) -> SignUpRow | None:
        """One whose text is to be handed over; others leave it alone for the time of the lease."""
        due = select(sign_ups.c.id).where(sign_ups.c.due_time <= func.now()).order_by(sign_ups.c.due_time).limit(1)
        lease = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, lease_seconds)
        taken = update(sign_ups).where(sign_ups.c.id == due.with_for_update(skip_locked=True).scalar_subquery())
        result = await self.connection.execute(taken.values(due_time=lease).returning(*sign_ups.c))
        return result.mappings().one_or_none()

    async def end_sign_up_text(self, id: str) -> None:
        await self.connection.execute(update(sign_ups).where(sign_ups.c.id == id).values(due_time=None))

    async def drop_old_sign_ups(self) -> int:
        return (
            await self.connection.execute(delete(sign_ups).where(sign_ups.c.create_time < func.now() - KEPT))
        ).rowcount

    def _form(self, id: str) -> tuple[Any, ...]:
        return forms.c.merchant_id == self.merchant_id, forms.c.id == rows.uuid(id, FormNotFound)


def _form(result: Any) -> FormRow:
    row: FormRow | None = result.mappings().one_or_none()
    if row is None:
        raise FormNotFound
    return row
