"""Installations that had Knox's own table: nobody is logged out."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from knox.models import get_digest_token

from apps.identity.models import ApiKey
from tests.identity.helpers import bearing

migration = import_module("apps.identity.migrations.0002_knox")
#: As Knox's nine migrations made it.
TABLE = """
    CREATE TABLE knox_authtoken (
        digest varchar(128) PRIMARY KEY, token_key varchar(25) NOT NULL, created timestamptz NOT NULL,
        expiry timestamptz, user_id integer NOT NULL REFERENCES auth_user (id) DEFERRABLE INITIALLY DEFERRED
    )
"""


def tables() -> list[str]:
    return connection.introspection.table_names()


@pytest.mark.django_db
def test_tokens_of_knox_go_on_and_its_table_is_gone(alice):
    assert "knox_authtoken" not in tables()
    tokens = []
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
        for life in ("1 hour", None, "-1 hour"):
            digest, token = get_digest_token()
            cursor.execute(
                "INSERT INTO knox_authtoken VALUES (%s, %s, now(), now() + %s::interval, %s)",
                [digest, token[:15], life, alice.pk],
            )
            tokens.append(token)
        # Another transaction wrote these.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with connection.schema_editor() as editor:
        migration.move(apps, editor)
    assert "knox_authtoken" not in tables()
    assert [bearing(token, "Token").get("/api/v1/positions").status_code for token in tokens] == [
        200,
        200,
        401,
    ]
    assert bearing(tokens[0]).get("/api/v1/positions").status_code == 401
    stored = ApiKey.objects.values_list("kind", "user", "scopes")
    assert list(stored) == [("login", alice.pk, [])] * 2
    assert ApiKey.objects.filter(expiry=None).count() == 1
    # Where there is none, nothing is to be done.
    with connection.schema_editor() as editor:
        migration.move(apps, editor)
    assert ApiKey.objects.count() == 2
