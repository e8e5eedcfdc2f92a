"""Statements over templates."""

from typing import Any

from sqlalchemy import case, delete, func, insert, select, update

from astronote.campaigns.v1.campaigns_pb2 import Template
from kit import rows
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.errors import TemplateNotFound
from services.campaigns.tables import metadata, templates

SHOWN = rows.columns(Template, templates)


class TemplateStatements(Store):
    metadata = metadata

    async def create_template(self, template: Template) -> Template:
        values = rows.values(template, templates, ["name", "text", "language", "category"])
        created = insert(templates).values(values | {"merchant_id": self.merchant_id}).returning(*SHOWN)
        return rows.message(Template, (await self.connection.execute(created)).one())

    async def template(self, id: str) -> Template:
        """Refuses `TemplateNotFound`."""
        return _found((await self.connection.execute(select(*SHOWN).where(*self._template(id)))).one_or_none(), id)

    async def template_page(self, after: str | None, limit: int) -> list[Template]:
        query = select(*SHOWN).where(templates.c.merchant_id == self.merchant_id)
        if after:
            query = query.where(templates.c.id > after)
        found = await self.connection.execute(query.order_by(templates.c.id).limit(limit))
        return [rows.message(Template, row) for row in found]

    async def update_template(self, template: Template, paths: list[str]) -> Template:
        """Refuses `TemplateNotFound`."""
        values = rows.values(template, templates, paths) | {"update_time": func.now()}
        if "text" in values:
            changed = templates.c.text != values["text"]
            values["version"] = templates.c.version + case((changed, 1), else_=0)
        changed_row = update(templates).where(*self._template(template.id)).values(values).returning(*SHOWN)
        return _found((await self.connection.execute(changed_row)).one_or_none(), template.id)

    async def delete_template(self, id: str) -> None:
        """Refuses `TemplateNotFound`."""
        if not (await self.connection.execute(delete(templates).where(*self._template(id)))).rowcount:
            raise TemplateNotFound(id=id)

    def _template(self, id: str) -> tuple[Any, ...]:
        return templates.c.id == rows.uuid(id, TemplateNotFound), templates.c.merchant_id == self.merchant_id


def _found(row: AnyRow | None, id: str) -> Template:
    if row is None:
        raise TemplateNotFound(id=id)
    return rows.message(Template, row)
