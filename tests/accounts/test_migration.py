"""Signing keys from before they had states."""

import psycopg
from alembic import command
from alembic.config import Config

from deploy.local import provision
from deploy.local.provision import ROOT


def test_the_newest_key_goes_on_signing(postgres):
    passwords = dict.fromkeys(provision.role_names(("accounts",)), "test")
    # A database of its own: the other tests' one is at the newest version already.
    made = provision.provision(postgres.url(), ["accounts"], passwords, "migration_")["accounts"]
    config = Config(str(ROOT / "alembic.ini"), ini_section="accounts")
    config.attributes["url"] = made.owner_url
    command.upgrade(config, "0001")
    with psycopg.connect(made.pipeline_url.replace("+psycopg", "")) as connection:
        for kid, age, expire in (("old", 9, None), ("new", 1, None), ("gone", 0, "now() - interval '1 day'")):
            connection.execute(
                f"INSERT INTO signing_keys (kid, public_key, private_key, create_time, expire_time)"
                f" VALUES ('{kid}', '', '', now() - interval '{age} days', {expire or 'NULL'})"
            )
    command.upgrade(config, "head")
    with psycopg.connect(made.pipeline_url.replace("+psycopg", "")) as connection:
        found = connection.execute(
            "SELECT kid, state, expire_time > now(), active_time IS NOT NULL FROM signing_keys ORDER BY kid"
        ).fetchall()
    assert found == [("gone", "RETIRED", False, True), ("new", "ACTIVE", None, True), ("old", "RETIRED", True, True)]
