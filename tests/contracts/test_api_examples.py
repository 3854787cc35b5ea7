"""Every operation of the API has examples, and they are true."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.db import transaction
from django.test import Client
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from apps.core import examples
from tests.contracts.world import world_of

SCHEMA = Path(settings.BASE_DIR) / "project" / "openapi.yaml"
#: Whose requests the examples are.
USERNAME, PASSWORD = "alice", "correct-Horse-7"


@cache
def whole() -> dict[str, Any]:
    return yaml.load(SCHEMA.read_text(), yaml.CSafeLoader)


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Method, address and description by ``operationId``."""
    return {
        one["operationId"]: (method.upper(), path, one)
        for path, item in whole()["paths"].items()
        for method, one in item.items()
    }


def json_of(described: dict[str, Any]) -> dict[str, Any] | None:
    """What is said of the JSON of a body or of a response."""
    if "$ref" in described:
        described = whole()["components"]["responses"][described["$ref"].rpartition("/")[2]]
    return next((one for name, one in described.get("content", {}).items() if name.endswith("json")), None)


def test_every_operation_has_examples_and_nothing_else_has():
    lacking = []
    for name, (_, _, one) in operations().items():
        has = examples.read().get(name, {})
        shown = has.get("responses", {}).keys()
        told = {
            status
            for status, response in one["responses"].items()
            if status < "300" and json_of(response) is not None
        }
        lacking += [(name, status) for status in told - shown]
        if not any(status >= "400" for status in shown):
            lacking.append((name, "a problem"))
        if "requestBody" in one and "request" not in has:
            lacking.append((name, "a request"))
        # Each is shown.
        lacking += [(name, status) for status in shown if "example" not in json_of(one["responses"][status])]
    assert lacking == []
    assert examples.read().keys() <= operations().keys()


def test_every_example_is_what_the_schema_says():
    wrong = []
    for name, (_, _, one) in operations().items():
        described = {status: json_of(response) for status, response in one["responses"].items()}
        described["request"] = json_of(one.get("requestBody", {}))
        for part, content in described.items():
            if content is None or "example" not in content:
                continue
            rules = {**content["schema"], "components": whole()["components"]}
            validator = OAS30Validator(rules, format_checker=oas30_format_checker)
            wrong += [
                (name, part, error.json_path, error.message[:200])
                for error in validator.iter_errors(content["example"])
            ]
            if part >= "400" and part != "request" and content["example"]["status"] != int(part):
                wrong.append((name, part, "status", content["example"]["status"]))
    assert wrong == []


@pytest.mark.django_db
def test_every_request_is_taken(django_user_model):
    """As it is, by the one whose it is: none is invalid."""
    user = django_user_model.objects.create_superuser(USERNAME, "alice@example.com", PASSWORD)
    known = world_of(user)
    web = Client()
    refused = []
    for name, (method, path, one) in operations().items():
        if "requestBody" not in one:
            continue
        content = examples.read()[name]["request"]
        if "account" in content:
            content = {**content, "account": known["account_id"]}
        address = path.format(**known)
        if name == "candles_upload":
            address += f"?instrument={known['instrument']}"
        with transaction.atomic():
            # What one does, as changing the password, is undone before the next.
            web.force_login(user)
            answer = web.generic(method, address, json.dumps(content), "application/json")
            transaction.set_rollback(True)
        if not (answer.status_code < 300 or answer.status_code == 409):
            refused.append((name, answer.status_code, answer.content[:300]))
    assert not refused, "\n".join(map(str, refused))
