"""``manage.py api_key``: for whoever sets up an installation by scripts."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from tests.audit.chaining import waiting
from tests.identity.helpers import bearing


def run(*arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    call_command("api_key", *arguments, stdout=out, stderr=err)
    return out.getvalue()


def test_a_key_is_made_listed_and_revoked(alice):
    token = run(
        "create", "alice", "--name", "bot", "--scope", "orders:read", "--days", "3", "--network", "127.0.0.1"
    )
    assert bearing(token.strip()).get("/api/v1/positions").status_code == 200
    (told,) = json.loads(run("list", "alice", "--json"))
    assert (told["name"], told["scopes"], told["state"]) == ("bot", ["orders:read"], "active")
    assert told["id"] in run("list")
    assert token.strip()[8:] not in run("list")
    assert run("revoke", told["id"]) == f"{told['id']} is revoked\n"
    assert run("revoke", told["id"]) == f"{told['id']} was revoked already\n"
    assert json.loads(run("list", "--json")) == []
    assert told["id"] in run("list", "--all")
    assert bearing(token.strip()).get("/api/v1/positions").status_code == 401
    done = [(one["action"], one["actor"][:4]) for one in waiting() if one["action"].startswith("key.")]
    assert done == [("key.created", "cli:"), ("key.revoked", "cli:")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "nobody", "--name", "bot", "--scope", "orders:read"),
        ("create", "alice", "--name", "bot", "--scope", "orders:all"),
        ("create", "alice", "--name", "bot", "--scope", "orders:read", "--days", "0"),
        ("create", "alice", "--name", "bot"),
        ("list", "nobody"),
        ("revoke", "01999999-0000-7000-8000-000000000000"),
    ],
)
def test_what_cannot_be_done_is_an_error(alice, arguments):
    with pytest.raises(CommandError):
        run(*arguments)
