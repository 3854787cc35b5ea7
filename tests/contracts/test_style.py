"""All operations of the schema are of one style."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.test import Client
from django.urls import resolve

from apps.core.openapi import AREAS, LONGEST_SUMMARY
from apps.core.problemtypes import PROBLEM_TYPES
from apps.core.views import ApiView
from tests.contracts.test_hostile import address_of, operations, whole


def parameters(one: dict[str, Any]) -> dict[str, Any]:
    """Those of an operation by name, wherever they are described."""
    found = [
        whole()["components"]["parameters"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each
        for each in one.get("parameters", ())
    ]
    return {each["name"]: each for each in found}


def test_every_list_is_paged_in_the_same_way():
    whole_ones = set()
    for path, method, one in operations():
        answer = one["responses"].get("200", {}).get("content", {}).get("application/json", {})
        if method != "GET" or answer.get("schema", {}).get("type") != "array":
            continue
        known = parameters(one)
        if "cursor" not in known:
            assert not [each for each in known.values() if each["in"] == "query"], path
            whole_ones.add(path)
            continue
        limit = known["limit"]["schema"]
        assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 200, 50), path
        assert "Link" in one["responses"]["200"]["headers"], path
    # There are never many of these.
    assert whole_ones == {
        f"/api/v1/{name}" for name in ("notifications/preferences", "strategies", "periodic")
    }


def test_every_post_takes_a_key():
    """All but those where a repeat does nothing, and signing in and passwords, of which nothing is kept."""
    without = {
        path for path, method, one in operations()
        if method == "POST" and "Idempotency-Key" not in parameters(one)
    }  # fmt: skip
    assert without == {f"/api/v1/{name}" for name in ("auth/login", "auth/password", "candles")}
    keep_none = {
        path for path, method, _ in operations()
        if method == "POST" and not getattr(resolve(address_of(path)).func.cls, "keeps_answers", False)
    }  # fmt: skip
    assert keep_none - without == {f"/api/v1/{name}" for name in ("orders", "backtests", "sweeps")}


def test_what_is_read_has_a_tag_and_what_is_changed_can_be_compared():
    readable = {path for path, method, _ in operations() if method == "GET"}
    always_sent = set()
    for path, method, one in operations():
        if method == "GET" and resolve(address_of(path)).func.cls.passing:
            always_sent.add(path)
            assert "304" not in one["responses"], path
            assert "ETag" in one["responses"]["200"]["headers"], path
        elif method == "GET":
            assert "If-None-Match" in parameters(one), path
            assert "ETag" in one["responses"]["304"]["headers"], path
        elif method in ("PUT", "PATCH", "DELETE") and path in readable:
            assert "If-Match" in parameters(one), path
            assert "412" in one["responses"], path
    assert always_sent == {"/api/v1/auth/keys/{key_id}"}


def test_what_is_compared_is_locked_until_it_is_changed():
    unlocked = set()
    for path, method, _ in operations():
        view = resolve(address_of(path)).func.cls
        if method in ("PUT", "PATCH", "DELETE") and hasattr(view, "get") and view.locked is ApiView.locked:
            unlocked.add(path)
    assert unlocked == set()


def test_every_error_is_a_problem():
    responses = whole()["components"]["responses"]
    for path, _, one in operations():
        for status, response in one["responses"].items():
            if status >= "400":
                response = responses.get(response.get("$ref", "").rpartition("/")[2], response)
                assert list(response["content"]) == ["application/problem+json"], (path, status)
    known = whole()["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert known == [f"/problems/{name}" for name in PROBLEM_TYPES]


def test_every_operation_has_its_place():
    tags = {tag["name"]: tag["description"] for tag in whole()["tags"]}
    assert set(tags) <= set(AREAS)
    assert all(tags.values())
    names = Counter(one["operationId"] for _, _, one in operations())
    assert set(names.values()) == {1}
    for path, _, one in operations():
        assert len(one["tags"]) == 1, path
        assert one["tags"][0] in tags, path
        assert one["description"], path
        summary = one["summary"]
        assert 0 < len(summary) <= LONGEST_SUMMARY, (path, summary)
        assert not summary.endswith((".", ":", ";", ",")), (path, summary)
        assert "`" not in summary, (path, summary)


@pytest.mark.django_db
def test_the_reference_needs_nothing_from_outside(client: Client):
    page = client.get("/api/docs").content.decode()
    assert "/static/drf_spectacular_sidecar/" in page
    assert "https://" not in page
    assert client.get("/api/schema").status_code == 200
    as_json = client.get("/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert as_json.json()["paths"].keys() == whole()["paths"].keys()
