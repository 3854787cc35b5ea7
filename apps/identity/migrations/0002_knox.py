from django.db import migrations

from apps.core.ids import uuid7

_BEFORE = "knox_authtoken"
_BATCH = 5000
_READ = """
    SELECT digest, token_key, user_id, created, expiry FROM knox_authtoken
    WHERE expiry IS NULL OR expiry > now() ORDER BY created
"""
_WRITE = """
    INSERT INTO identity_apikey (id, digest, token_key, user_id, created, expiry, kind, name, scopes, networks)
    VALUES (%s, %s, %s, %s, %s, %s, 'login', '', '{}', '{}')
"""


def move(apps, schema_editor):
    """Move the tokens of an installation that had Knox's own table: nobody is logged out. Then drop that."""
    connection = schema_editor.connection
    if _BEFORE not in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        # Whoever signs in meanwhile would do so for nothing.
        cursor.execute(f"LOCK TABLE {_BEFORE}")
        cursor.execute(_READ)
        while rows := cursor.fetchmany(_BATCH):
            _store(connection, rows)
        cursor.execute(f"DROP TABLE {_BEFORE}")


def _store(connection, rows):
    with connection.cursor() as cursor:
        cursor.executemany(_WRITE, [(uuid7(), *row) for row in rows])


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0001_initial"),
    ]

    operations = [migrations.RunPython(move, migrations.RunPython.noop)]
