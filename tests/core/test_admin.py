"""The admin's pages are there for those who serve or check them, and cost nobody else a start."""

from __future__ import annotations

import sys
from pathlib import Path

from apps.stack import forkserver
from apps.stack.child import Service
from apps.stack.environment import inherited
from apps.stack.folders import CHECKOUT

ASKS = """
import sys
from django.contrib import admin
from django.core.checks import run_checks


def pages():
    return [name for name in sys.modules if name.startswith("apps.") and "admin" in name.split(".")]


assert not pages(), pages()
found = []
admin.ModelAdmin.check = lambda self, **_: found.append(self.model._meta.label) or []
assert run_checks(tags=["admin"]) == []
assert {"auth.User", "tasks.TaskRun", "candles.Instrument", "backtests.Sweep"} <= set(found), found
"""


def test_only_who_checks_or_serves_the_pages_imports_them(tmp_path: Path):
    service = Service(
        name="asks",
        argv=(sys.executable, str(CHECKOUT / "manage.py"), "shell", "--no-imports", "-c", ASKS),
        environ=inherited(),
        folder=CHECKOUT,
    )
    with (tmp_path / "log").open("ab") as log:
        assert forkserver.spawn(service, log).wait() == 0, (tmp_path / "log").read_text()
