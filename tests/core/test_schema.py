"""The committed OpenAPI schema is the one that the code serves."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.core.management import call_command

SCHEMA = Path(settings.BASE_DIR) / "project" / "openapi.yaml"


def test_the_committed_schema_is_the_one_that_is_served(tmp_path: Path):
    fresh = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", file=str(fresh))
    assert fresh.read_text() == SCHEMA.read_text(), (
        "the API has changed: run `python3 manage.py spectacular --file project/openapi.yaml`"
    )
