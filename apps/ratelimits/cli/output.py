"""What the commands write to, and the tables that several of them show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder
from rich.table import Table

from apps.ratelimits.limiter import Result
from apps.tasks.cli.tables import console, table

AWAY = "Redis does not answer: usage is unknown"


class Output:
    """Lines, tables and JSON on stdout."""

    def __init__(self, stdout: OutputWrapper) -> None:
        self._stdout = stdout
        # Tables come with their own line ends.
        stdout.ending = ""
        self._console = console(stdout)

    def line(self, text: str) -> None:
        """One line."""
        self._stdout.write(f"{text}\n")

    def table(self, shown: Table) -> None:
        """A table."""
        self._console.print(shown)

    def json(self, value: Any) -> None:
        """The result for a script."""
        self._stdout.write(json.dumps(value, cls=DjangoJSONEncoder, indent=2) + "\n")


def usage_table(found: Sequence[Result], title: str) -> Table:
    """How much is used of each policy."""
    numbers = ("used", "limit", "window (s)", "left")
    made = table("policy", *numbers, "mode", right=numbers, title=title)
    for one in found:
        policy = one.policy
        made.add_row(
            policy.id, f"{one.used:,}", f"{policy.limit:,}", f"{policy.seconds:,}", f"{one.remaining:,}",
            "shadow" if policy.shadow else "enforce",
        )  # fmt: skip
    return made


def usage_document(found: Sequence[Result]) -> list[dict[str, Any]]:
    """How much is used of each policy, for scripts."""
    return [
        {
            "policy": one.policy.id,
            "used": one.used,
            "limit": one.policy.limit,
            "window": one.policy.seconds,
            "remaining": one.remaining,
            "shadow": one.policy.shadow,
        }
        for one in found
    ]
