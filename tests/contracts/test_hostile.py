"""Whatever clients send, to any operation: a problem, and never a fault of the server."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
import yaml
from django.conf import settings
from django.test import Client

pytestmark = pytest.mark.django_db

SCHEMA = Path(settings.BASE_DIR) / "project" / "openapi.yaml"
NOBODY = str(UUID(int=1))
DEEP = "[" * 100_000
#: Bodies that are no JSON, or hold what nothing can be done with.
BODIES = {
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "null character": b'{"a": "\\u0000"}',
    "null character in a name": b'{"\\u0000": 1}',
    "half a character": b'{"a": ["\\ud800"]}',
    "raw null": b'{"a": "\x00"}',
    "NaN": b'{"a": NaN}',
    "infinite": b'{"a": 1e999}',
    "beyond 64 bits": b'{"a": %s}' % (b"9" * 400),
    "beyond what Python reads": b'{"a": %s}' % (b"9" * 5000),
    "deep": DEEP.encode(),
    "cut off": b'{"a"',
}
#: JSON that is of no use anywhere.
USELESS: tuple[Any, ...] = ([], "text", 7, None, True, {"unheard-of": {"a": [1]}})
#: Values of query parameters, by themselves and of all at once.
VALUES, TOGETHER = ("9" * 30, "\ud800", "W10"), ("a\0b", "-1", "1e9", "٣", "")


@cache
def whole() -> dict[str, Any]:
    return yaml.load(SCHEMA.read_text(), yaml.CSafeLoader)


@cache
def operations() -> tuple[tuple[str, str, dict[str, Any]], ...]:
    paths = whole()["paths"]
    return tuple((path, method.upper(), one) for path, item in paths.items() for method, one in item.items())


def sent(client: Client, method: str, address: str, body: bytes = b"", **more: Any) -> Any:
    return client.generic(method, address, body, **{"content_type": "application/json", **more})


def address_of(path: str, part: str = NOBODY) -> str:
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + part + rest.partition("}")[2]
    return path


@pytest.fixture
def staff(django_user_model) -> Client:
    """Somebody who may do everything, and is told of no exception but by the answer."""
    client = Client(raise_request_exception=False)
    client.force_login(django_user_model.objects.create_superuser("root", password="x"))
    return client


def expect(response: Any, what: str, *, least: int = 400) -> None:
    assert least <= response.status_code < 500, f"{what}: {response.status_code} {response.content[:300]!r}"
    if response.status_code >= 400:
        assert response["Content-Type"] == "application/problem+json", what
        body = response.json()
        assert body["status"] == response.status_code, what
        assert body["request_id"] == response["X-Request-ID"], what


def test_no_path(staff):
    for path, method, _ in operations():
        if "{" not in path:
            continue
        for part in ("%00", "nonsense", "..%2f", "%ff", NOBODY + "0", quote("\u2028")):
            expect(sent(staff, method, address_of(path, part), b"{}"), f"{method} {path} {part}")
        unknown = sent(staff, method, address_of(path), b"{}")
        expect(unknown, f"{method} {path}")


def test_no_query(staff):
    """Parameters with values that are none; what is allowed may be answered."""
    for path, method, one in operations():
        names = [each["name"] for each in one.get("parameters", ()) if each.get("in") == "query"]
        if not names:
            continue
        address = address_of(path)
        asked = [f"{name}={quoted(value)}" for name in names for value in VALUES]
        asked += ["&".join(f"{name}={quoted(value)}" for name in names) for value in TOGETHER]
        for query in asked:
            response = sent(staff, method, f"{address}?{query}")
            expect(response, f"{method} {path}?{query[:60]}", least=400 if "%00" in query else 200)
        twice = sent(staff, method, f"{address}?{'&'.join(f'{name}=1&{name}=1' for name in names)}")
        expect(twice, f"{method} {path} twice")


def quoted(value: str) -> str:
    return quote(value.encode(errors="surrogatepass"))


def test_no_unknown_parameter(staff):
    for path, method, _ in operations():
        if method == "GET":
            expect(sent(staff, method, f"{address_of(path)}?unheard-of=1"), f"{method} {path}")


def test_no_body(staff):
    for path, method, one in operations():
        if "requestBody" not in one:
            continue
        what, address = f"{method} {path}", address_of(path)
        for name, body in BODIES.items():
            expect(sent(staff, method, address, body), f"{what}: {name}")
        for value in USELESS:
            response = sent(staff, method, address, json.dumps(value).encode())
            expect(response, f"{what}: {value!r}")
        expect(sent(staff, method, address, b"a=b", content_type="text/nothing"), f"{what}: text")
        expect(sent(staff, method, address, b"x", content_type="application/json; charset=bz2"), what)


def test_no_value_in_a_body(staff):
    """All properties that an operation takes at once, with values of every kind."""
    values = (None, -1, 2**63, 1.5e300, "", "x" * 5000, [[None]], {"a": {"b": []}})
    for path, method, one in operations():
        content = one.get("requestBody", {}).get("content", {}).get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        fields = whole()["components"]["schemas"].get(name, {}).get("properties", {})
        for value in values:
            body = json.dumps(dict.fromkeys(fields, value)).encode()
            expect(sent(staff, method, address_of(path), body), f"{method} {path}: {value!r:.60}", least=200)


def test_no_method_and_no_header(staff):
    for path in {path for path, _, _ in operations()}:
        address = address_of(path)
        known = {method for one, method, _ in operations() if one == path}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE"} - known:
            response = sent(staff, method, address, b"{}")
            expect(response, f"{method} {path}")
            if path == "/api/v1/auth/login":
                # Asks for a password first.
                continue
            assert response.status_code == 405, f"{method} {path}"
            assert known <= set(response["Allow"].split(", ")), path
        if "GET" in known:
            assert sent(staff, "HEAD", address).status_code == sent(staff, "GET", address).status_code
        if "POST" in known:
            for key in ("", "a b", "ü", "x" * 256):
                response = sent(staff, "POST", address, b"{}", headers={"Idempotency-Key": key})
                expect(response, f"POST {path} with the key {key[:5]!r}")
    for address in ("/api/v1/tasks/", "/api/nothing", "/api/v1/instruments/", "/api/v1/orders//"):
        expect(sent(staff, "GET", address, headers={"Accept": "text/html"}), address)
