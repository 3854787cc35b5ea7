"""What tests of ``manage.py ratelimits`` share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command

from apps.ratelimits import selectors
from tests.ratelimits.requesting import by_address, by_user, group

HERE = "address:203.0.113.7"

GROUPS = [
    group("exempt", prefixes=["/static/"], exempt=True),
    group("exports", {"client": {"by": "subject", "rate": "5/m"}}),
    group(
        "plain",
        {
            "address": by_address("50/m"),
            "anonymous": by_address("9/m", anonymous=True),
            "user": by_user("30/m", plans={"pro": "90/m", "vast": None}),
            "key": {"by": "key", "rate": "10/m"},
        },
        routes=["plain"],
        methods=["GET"],
        exempt_addresses=["198.51.100.0/24"],
    ),
    group(
        "costly",
        {"address": by_address("50/m")},
        prefixes=["/open"],
        cost="tests.ratelimits.commanding.cost_of",
        outage="closed",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the command wrote, and how it ended."""

    out: str
    status: int
    error: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def last(self) -> str:
        return self.out.splitlines()[-1]


def ratelimits(*arguments: Any) -> Said:
    """``manage.py ratelimits`` with these arguments."""
    out, status, error = StringIO(), 0, ""
    try:
        call_command("ratelimits", *map(str, arguments), stdout=out)
    except CommandError as exc:
        status, error = exc.returncode, str(exc)
    return Said(out=out.getvalue(), status=status, error=error)


def plan_of(user: Any) -> str:
    """Of the users of these tests: those whose name says so are in the plan pro."""
    return "pro" if user.username.startswith("pro") else ""


def cost_of(request: Any) -> int:
    """As many units as the query says."""
    return int(request.GET["units"])


def used(who: str) -> dict[str, int]:
    return {one.policy.id: one.used for one in selectors.usage(who)}


def words(out: str, name: str) -> list[str]:
    """The words of the line of a table that is about this."""
    (line,) = [line for line in out.splitlines() if name in line.split()]
    return line.split()
