"""Headers that every answer has, whoever gives it; who may read it from elsewhere; who is believed of TLS."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.db import connection
from django.http import HttpResponse
from django.test import AsyncRequestFactory, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils.module_loading import import_string

from apps.core.csp import BARE, hash_of, styles_of
from apps.core.forwarding import scheme_of

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": BARE,
}
PAGE = "https://page.example"
EXPOSED = "ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"


@pytest.fixture
def limited(db: None, own_keys: None, settings: Any) -> Any:
    """Every request is limited to one a minute by address."""
    from apps.ratelimits.engine import engine

    rule = {"address": {"by": "address", "rate": "1/m"}}
    settings.RATELIMITS_ENABLED = True
    settings.RATELIMITS_GROUPS = [{"name": "default", "rules": rule}]
    settings.RATELIMITS_TIMEOUT = 5.0
    yield settings
    engine().keeper.stop()


def lacking(answer: Any) -> set[str]:
    """What of that which every answer has this one has not."""
    assert "camera=()" in answer.headers.get("Permissions-Policy", "")
    assert "X-Request-ID" in answer.headers
    return {name for name, value in EVERYWHERE.items() if answer.headers.get(name) != value}


def test_who_is_denied_is_given_every_header_and_the_database_is_not_asked(limited, client: Client):
    assert lacking(client.get("/api/v1/")) == set()
    with CaptureQueriesContext(connection) as queries:
        denied = client.get("/api/v1/")
    assert (denied.status_code, lacking(denied), len(queries)) == (429, set(), 0)
    limited.RATELIMITS_DENY = ["127.0.0.0/8"]
    shut_out = Client().get("/api/v1/")
    assert (shut_out.status_code, lacking(shut_out)) == (403, set())


@pytest.mark.django_db
def test_files_errors_and_pages_have_them_too_and_pages_may_use_what_is_served_here(client: Client):
    static = client.head("/static/admin/css/base.css")
    assert (static.status_code, lacking(static)) == (200, set())
    missing = client.get("/nothing-here")
    assert (missing.status_code, lacking(missing)) == (404, set())
    page = client.get("/admin/login/")
    assert lacking(page) == {"Content-Security-Policy"}
    policy = dict(part.split(" ", 1) for part in page["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in page["Content-Security-Policy"]
    feed = client.get("/udf/time")
    assert lacking(feed) == {"Cross-Origin-Resource-Policy"}


@pytest.mark.django_db
def test_a_policy_may_be_reported_on_and_allow_connections(client: Client, settings):
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    more = {"report-uri": "https://reports.example/csp", "connect-src": ["'self'", "https://feed.example"]}
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives | more}
    policy = client.get("/admin/login/")["Content-Security-Policy"].split("; ")
    assert "report-uri https://reports.example/csp" in policy
    assert "connect-src 'self' https://feed.example" in policy


@pytest.mark.django_db
def test_what_is_somebodys_is_kept_by_no_shared_cache_and_what_was_written_by_none(new_user):
    user = new_user()
    signed_in = Client()
    signed_in.force_login(user)
    assert signed_in.get("/api/v1/accounts/")["Cache-Control"] == "private"
    assert Client().get("/api/v1/")["Cache-Control"] == "private, no-cache"
    assert "Cache-Control" not in Client().get("/problems/").headers
    login = Client().post("/api/v1/auth/login", headers={"Authorization": basic(user.username)})
    assert (login.status_code, login["Cache-Control"]) == (200, "no-store")


def basic(name: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:secret".encode()).decode()


def test_styles_inside_a_document_are_allowed_by_their_hashes():
    page = '<style>b{color:red}</style><p style="a:&quot;b&quot;">x</p><p>y</p><p style="">z</p>'
    assert styles_of(page) == sorted([hash_of("b{color:red}"), hash_of('a:"b"')])
    assert hash_of("") == "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"


def preflight(client: Client, path: str, origin: str) -> Any:
    return client.options(path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})


def test_pages_of_allowed_origins_may_read_the_api_and_their_preflights_are_not_counted(limited):
    limited.CORS_ALLOWED_ORIGINS = [PAGE]
    client = Client()
    for _ in range(3):
        answer = preflight(client, "/api/v1/orders/", PAGE)
        assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (200, PAGE)
        assert "idempotency-key" in answer["Access-Control-Allow-Headers"]
    read = client.get("/api/v1/", headers={"Origin": PAGE})
    assert (read.status_code, read["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert read["Access-Control-Expose-Headers"] == EXPOSED
    assert "origin" in read["Vary"].lower()
    # A page can tell why it was denied, and until when.
    denied = client.get("/api/v1/", headers={"Origin": PAGE})
    assert (denied.status_code, denied["Access-Control-Allow-Origin"]) == (429, PAGE)
    assert "Access-Control-Allow-Credentials" not in denied.headers
    other = preflight(client, "/api/v1/orders/", "https://page.example.evil.example")
    assert (other.status_code, other.has_header("Access-Control-Allow-Origin")) == (429, False)
    # The datafeed answers for itself, once.
    feed = preflight(Client(REMOTE_ADDR="192.0.2.1"), "/udf/time", PAGE)
    assert (feed.status_code, feed["Access-Control-Allow-Origin"]) == (204, "*")


@pytest.mark.django_db
def test_where_no_origin_is_allowed_nothing_is_said_of_origins(client: Client):
    answer = client.get("/api/v1/", headers={"Origin": PAGE})
    assert not any(name.startswith("Access-Control") for name in answer.headers)
    assert "origin" not in answer.headers.get("Vary", "").lower()


@pytest.mark.django_db
def test_only_trusted_proxies_are_believed_that_the_client_came_by_tls(settings):
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 60
    claims = {"X-Forwarded-Proto": "https", "Forwarded-Scheme": "https", "X-Forwarded-Ssl": "on"}
    assert Client(headers=claims).get("/api/v1/").status_code == 301
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert Client(REMOTE_ADDR="192.0.2.1", headers=claims).get("/api/v1/").status_code == 301
    believed = Client(REMOTE_ADDR="10.0.0.1", headers=claims).get("/api/v1/")
    assert believed.status_code == 200
    assert believed["Strict-Transport-Security"] == "max-age=60"
    assert believed.json()["login"].startswith("https://")
    settings.FORWARDED_HEADER = "forwarded"
    assert Client(REMOTE_ADDR="10.0.0.1", headers=claims).get("/api/v1/").status_code == 301
    told = {"Forwarded": "for=192.0.2.7;proto=https, for=10.0.0.2;proto=http"}
    assert Client(REMOTE_ADDR="10.0.0.1", headers=told).get("/api/v1/").status_code == 200


@pytest.mark.parametrize(
    ("header", "text", "scheme"),
    [
        ("x-forwarded-for", "https", "https"),
        # What a client wrote stands to the left of what the proxy did.
        ("x-forwarded-for", "https, http", "http"),
        ("x-forwarded-for", "HTTPS ", "https"),
        ("x-forwarded-for", "", ""),
        ("forwarded", "for=192.0.2.7;proto=https", "https"),
        ("forwarded", "for=192.0.2.7;proto=https, for=192.0.2.8;proto=http", "http"),
        ("forwarded", 'for=192.0.2.7;proto=https, for="_hidden";proto=http', "http"),
        ("forwarded", "for=192.0.2.7, for=10.0.0.9;proto=https", ""),
        ("forwarded", "proto=https", "https"),
        ("forwarded", "for=192.0.2.7;proto=https;proto=http", ""),
        ("x-real-ip", "https", ""),
    ],
)
def test_the_scheme_is_the_one_that_the_nearest_to_be_believed_has_seen(header, text, scheme):
    key = {"forwarded": "HTTP_FORWARDED"}.get(header, "HTTP_X_FORWARDED_PROTO")
    meta = {"REMOTE_ADDR": "10.0.0.1", key: text}
    assert scheme_of(meta, trusted=("10.0.0.0/8",), header=header) == scheme
    assert scheme_of(meta | {"REMOTE_ADDR": "192.0.2.1"}, trusted=("10.0.0.0/8",), header=header) == ""
    assert scheme_of(meta | {"REMOTE_ADDR": ""}, trusted=("unix",), header=header) == (
        # There every address is a client's.
        scheme_of(meta, trusted=("10.0.0.1",), header=header)
    )


@pytest.mark.parametrize(
    "name",
    ["middleware.RequestContextMiddleware", "headers.HeadersMiddleware", "csp.ContentPolicyMiddleware"],
)
def test_headers_are_written_in_stacks_of_either_kind(name):
    kind = import_string(f"apps.core.{name}")

    async def waiting(request: Any) -> HttpResponse:
        return HttpResponse("{}", content_type="application/json")

    def plain(request: Any) -> HttpResponse:
        return async_to_sync(waiting)(request)

    in_loop, in_thread = kind(waiting), kind(plain)
    assert (iscoroutinefunction(in_loop), iscoroutinefunction(in_thread)) == (True, False)
    given = {"X-Request-ID": "request-1"}
    first = async_to_sync(in_loop)(AsyncRequestFactory().get("/", headers=given))
    second = in_thread(RequestFactory().get("/", headers=given))
    assert json.loads(first.content) == {}
    assert dict(first.items()) == dict(second.items())
    assert len(first.headers) > 1
