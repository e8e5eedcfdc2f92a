"""One environment for every service: `alembic -n contacts upgrade head`, as the role that owns its database."""

import importlib
import os
from typing import Any

from alembic import context
from sqlalchemy import NullPool, create_engine, text

from kit.rows import DateText, EnumName, MessageJson

service = context.config.config_ini_section
metadata = importlib.import_module(f"services.{service}.tables").metadata


def render(kind: str, item: Any, _: Any) -> str | bool:
    """Migrations do not import our code: to them an EnumName is text."""
    names = {EnumName: "sa.Text()", DateText: "sa.Date()", MessageJson: "postgresql.JSONB()"}
    return names.get(type(item), False) if kind == "type" else False


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    context.run_migrations()
else:
    url = context.config.attributes.get("url") or os.environ["MIGRATION_DATABASE_URL"]
    with create_engine(url, poolclass=NullPool).begin() as connection:
        # A migration that can't have its lock gives up before it makes the service wait.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        context.configure(connection=connection, target_metadata=metadata, compare_type=True, render_item=render)
        with context.begin_transaction():
            context.run_migrations()
