"""What a service's two roles may do in its database: given by its owner, before the migrations, as often as wished."""

import psycopg
from psycopg import sql

BY_DEFAULT = "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"
# Only for tables to come: a migration may take rights away for good (a ledger's UPDATE).
STATEMENTS = (
    "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
    "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {users}",
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    "GRANT USAGE ON SCHEMA public TO {users}",
    f"{BY_DEFAULT} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {{users}}",
    f"{BY_DEFAULT} GRANT USAGE, SELECT ON SEQUENCES TO {{users}}",
)


def give(connection: psycopg.Connection[tuple[object, ...]], database: str, owner: str, *users: str) -> None:
    """As the owner."""
    names = {"database": sql.Identifier(database), "owner": sql.Identifier(owner)}
    listed = sql.SQL(", ").join(sql.Identifier(user) for user in users)
    for statement in STATEMENTS:
        connection.execute(sql.SQL(statement).format(users=listed, **names))
