"""A key does what it was granted, and never what belongs to its user alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.conf import settings as project
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from apps.core import scopes
from apps.core.views import ApiView
from tests.identity.helpers import bearing, key_of, problem, send


def routes(patterns: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every route that leads to a view of DRF, with its class; but for the schema's own."""
    found = []
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "cls", None)
            if isinstance(view, type) and not view.__module__.startswith("drf_spectacular"):
                found.append((route, view))
    return found


def test_every_view_of_the_api_belongs_to_an_area():
    found = routes(get_resolver().url_patterns)
    assert len(found) > 60
    # Others do not look at scopes.
    assert [view for _, view in found if not issubclass(view, ApiView)] == []
    assert [route for route, _ in found if not scopes.is_classified(route)] == []
    parts = {route.removeprefix("api/v1/").partition("/")[0] for route, _ in found}
    assert {part for areas in scopes.AREAS.values() for part in areas} <= parts
    for area in scopes.READ_ONLY:
        views = [view for route, view in found if scopes.required(route, "GET") == f"{area}:read"]
        assert views
        assert not any(hasattr(view, "post") or hasattr(view, "delete") for view in views)


@pytest.mark.parametrize(
    ("granted", "method", "address", "status"),
    [
        ("orders:read", "GET", "/api/v1/positions", 200),
        ("orders:write", "GET", "/api/v1/positions", 200),
        ("orders:read", "POST", "/api/v1/orders", 403),
        ("orders:write", "POST", "/api/v1/orders", 400),
        ("backtests:write", "GET", "/api/v1/positions", 403),
        ("orders:read", "OPTIONS", "/api/v1/orders", 200),
        ("orders:write", "GET", "/api/v1/", 200),
        ("orders:write", "GET", "/api/v1/auth/me", 200),
    ],
)
def test_a_key_may_do_what_it_was_granted(alice, granted, method, address, status):
    answer = send(bearing(key_of(alice, granted).token), method, address, {})
    assert answer.status_code == status, answer.content
    if status == 403:
        assert problem(answer)[1] == "insufficient-scope"
        assert answer.json()["required_scope"] == f"orders:{'read' if method == 'GET' else 'write'}"


def test_whoever_has_only_a_key_cannot_make_more_of_it(alice):
    issued = key_of(alice, *scopes.SCOPES)
    web, one = bearing(issued.token), f"keys/{issued.key.pk}"
    for method, address in (
        ("GET", "keys"), ("POST", "keys"), ("GET", one), ("PATCH", one),
        ("DELETE", one), ("POST", f"{one}/rotate"), ("POST", "password"),
        ("POST", "logout"), ("POST", "logout-all"),
    ):  # fmt: skip
        answer = send(web, method, address, {"scopes": ["orders:write"], "name": "more"})
        assert problem(answer)[:2] == (403, "permission-denied"), address


def test_a_key_gives_its_user_no_more_rights_than_they_have(alice):
    assert bearing(key_of(alice, "tasks:write", "audit:read").token).get("/api/v1/audit").status_code == 403


def test_logins_and_sessions_may_do_all_that_their_user_may(alice, token):
    session, older = Client(), Client()
    session.force_login(alice)
    older.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    for web in (bearing(token), bearing(token, "Token"), session, older):
        assert send(web, "POST", "/api/v1/orders", {}).status_code == 400
        assert send(web, "GET", "keys").status_code == 200


def test_the_schema_says_which_scope_each_operation_needs():
    schema = yaml.safe_load((project.BASE_DIR / "project" / "openapi.yaml").read_text())
    paths = schema["paths"]
    assert paths["/api/v1/orders"]["post"]["x-required-scope"] == "orders:write"
    assert paths["/api/v1/orders"]["post"]["description"].endswith("A key needs the scope `orders:write`.")
    assert paths["/api/v1/auth/keys"]["post"]["description"].endswith("API keys are not taken.")
    assert "x-required-scope" not in paths["/api/v1/auth/me"]["get"]
    assert {"token": []} in paths["/api/v1/orders"]["post"]["security"]
