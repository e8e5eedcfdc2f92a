"""Statements over templates. Ours are in `system_templates`; no merchant has a row of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from astronote.campaigns.v1.campaigns_pb2 import ListTemplatesRequest, Template
from kit import rows
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns import system_templates
from services.campaigns.errors import TemplateNotFound
from services.campaigns.tables import metadata, template_versions, templates

SHOWN = rows.columns(Template, templates)


class TemplateStatements(Store):
    metadata = metadata

    async def create_template(self, template: Template) -> Template:
        values = rows.values(template, templates, ["name", "text", "language", "category"])
        created = insert(templates).values(values | {"merchant_id": self.merchant_id}).returning(*SHOWN)
        return rows.message(Template, (await self.connection.execute(created)).one())

    async def template(self, id: str, version: int = 0, *, lock: bool = False) -> Template:
        """The merchant's own or one of ours; an earlier `version` with the text of then. Refuses `TemplateNotFound`."""
        template = system_templates.BY_ID.get(id)
        if template is None:
            query = select(*SHOWN).where(*self._template(id))
            row = (await self.connection.execute(query.with_for_update() if lock else query)).one_or_none()
            template = _found(row, id)
            id = template.id
        if version in (0, template.version):
            return template
        earlier = (template_versions.c.template_id == id, template_versions.c.merchant_id == self.merchant_id)
        text = select(template_versions.c.version, template_versions.c.text, template_versions.c.update_time)
        row = (
            await self.connection.execute(text.where(*earlier, template_versions.c.version == version))
        ).one_or_none()
        template.MergeFrom(_found(row, id, version=version))
        return template

    async def template_page(self, chosen: ListTemplatesRequest, after: str | None, limit: int) -> list[Template]:
        query = select(*SHOWN).where(templates.c.merchant_id == self.merchant_id)
        for name in ("category", "language"):
            if value := getattr(chosen, name):
                query = query.where(templates.c[name] == value)
        if after:
            query = query.where(templates.c.id > after)
        found = await self.connection.execute(query.order_by(templates.c.id).limit(limit))
        own = [rows.message(Template, row) for row in found]
        ours = system_templates.chosen(chosen.category, chosen.language, after or "")
        return sorted([*own, *ours], key=lambda template: template.id)[:limit]

    async def update_template(self, template: Template, paths: Sequence[str]) -> Template:
        """Keeps the text that was, where there is another. Refuses `TemplateNotFound`."""
        before = await self.template(template.id, lock=True)
        values = rows.values(template, templates, list(paths)) | {"update_time": func.now()}
        if values.get("text", before.text) != before.text:
            values["version"] = before.version + 1
            kept = {"template_id": before.id, "merchant_id": self.merchant_id}
            kept |= rows.values(before, template_versions, ["version", "text", "update_time"])
            await self.connection.execute(insert(template_versions).values(kept))
        changed = update(templates).where(*self._template(template.id)).values(values).returning(*SHOWN)
        return rows.message(Template, (await self.connection.execute(changed)).one())

    async def delete_template(self, id: str) -> None:
        """With its earlier versions. Refuses `TemplateNotFound`."""
        if not (await self.connection.execute(delete(templates).where(*self._template(id)))).rowcount:
            raise TemplateNotFound(id=id)

    def _template(self, id: str) -> tuple[Any, ...]:
        return templates.c.id == rows.uuid(id, TemplateNotFound), templates.c.merchant_id == self.merchant_id


def _found(row: AnyRow | None, id: str, **version: int) -> Template:
    if row is None:
        raise TemplateNotFound(id=id, **version)
    return rows.message(Template, row)
