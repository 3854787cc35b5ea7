"""Who signs in and out, and who tries to, is told of, whatever way they take; never their password."""

from __future__ import annotations

import base64
import json

import pytest
from django.test import Client
from django.urls import reverse

from tests.audit.chaining import findings, waiting, written

PASSWORD = "correct-Horse-7"
LOGIN, LOGOUT = reverse("admin:login"), reverse("admin:logout")


@pytest.fixture
def ann(chain, django_user_model):
    return django_user_model.objects.create_superuser("ann", password=PASSWORD)


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def test_signing_in_and_out_by_session(ann, client):
    assert client.post(LOGIN, {"username": "ann", "password": "wrong"}).status_code == 200
    assert (
        client.post(LOGIN, {"username": "ann", "password": PASSWORD}, REMOTE_ADDR="192.0.2.3").status_code
        == 302
    )
    assert client.post(LOGOUT).status_code == 302
    failed, succeeded, logout = written()
    actor = f"user:{ann.pk}"
    assert (failed.action, failed.outcome, failed.actor, failed.object_id) == (
        "login.failed",
        "refused",
        "",
        "",
    )
    assert failed.detail == {"username": "ann", "path": LOGIN}
    assert (succeeded.action, succeeded.outcome, succeeded.actor) == ("login.succeeded", "succeeded", actor)
    assert (succeeded.object_type, succeeded.object_id) == ("auth.user", str(ann.pk))
    assert succeeded.address == "192.0.2.3"
    assert (logout.action, logout.actor) == ("logout", actor)
    assert findings() == []


def test_a_token_is_a_login_and_so_are_wrong_credentials_in_any_request(ann, client):
    assert client.post("/api/v1/auth/login", headers=basic("ann", PASSWORD)).status_code == 200
    assert client.post("/api/v1/auth/login", headers=basic("ann", "wrong")).status_code == 401
    assert client.get("/api/v1/tasks", headers=basic("bob", "wrong")).status_code == 401
    assert [(one["action"], one["actor"], one["detail"]) for one in waiting()] == [
        ("login.succeeded", f"user:{ann.pk}", {"username": "ann", "path": "/api/v1/auth/login"}),
        ("login.failed", "", {"username": "ann", "path": "/api/v1/auth/login"}),
        ("login.failed", "", {"username": "bob", "path": "/api/v1/tasks"}),
    ]


def test_whoever_fails_to_sign_in_is_nobody_even_with_a_session(ann, client):
    client.force_login(ann)
    client.post(LOGIN, {"username": "bob", "password": "wrong"})
    (row,) = written()
    assert (row.action, row.actor) == ("login.failed", "")


def test_long_and_odd_names_are_cut_and_passwords_never_kept(ann, client):
    for name in ("x" * 1000, "odd\u2028name"):
        assert client.post("/api/v1/auth/login", headers=basic(name, PASSWORD)).status_code == 401
    client.post(LOGIN, {"username": "", "password": PASSWORD})
    names = [one["detail"]["username"] for one in waiting()]
    assert [len(name) for name in names] == [150, len("odd name")]
    assert PASSWORD not in json.dumps(waiting())


def test_sessions_that_are_made_without_a_request_are_nobodys_deed(ann):
    client = Client()
    client.force_login(ann)
    assert client.login(username="ann", password=PASSWORD)
    assert not client.login(username="ann", password="wrong")
    client.logout()
    assert waiting() == []


def test_signing_out_without_having_signed_in_is_nothing(chain, client):
    client.post(LOGOUT)
    assert waiting() == []
