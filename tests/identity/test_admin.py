"""Operators issue, find and revoke keys in the admin; a token is on one page, once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from apps.identity.models import ApiKey, KnownPlace
from tests.audit.chaining import waiting
from tests.identity.helpers import bearing, key_of

LIST, ADD = reverse("admin:identity_apikey_changelist"), reverse("admin:identity_apikey_add")
FORM = {
    "name": "bot",
    "scopes": ["orders:read", "accounts:read"],
    "networks": "127.0.0.1\n",
    "expires_in_days": 9,
}


@pytest.fixture
def clerk(db: None, new_user: Any) -> Client:
    """Of the staff, with every right about keys, and no superuser."""
    user = new_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="identity"))
    web = Client()
    web.force_login(user)
    web.user = user
    return web


def test_a_key_is_issued_and_its_token_shown_once(admin_client, alice):
    page = admin_client.post(ADD, {**FORM, "user": alice.pk})
    assert page.status_code == 200, page.content
    assert "no-store" in page["Cache-Control"]
    (token, _) = re.findall(r"chd_[0-9a-f]{64}", page.content.decode())
    assert bearing(token).get("/api/v1/positions").status_code == 200
    key = ApiKey.objects.get()
    assert (key.user, key.scopes, key.networks) == (alice, ["accounts:read", "orders:read"], ["127.0.0.1/32"])
    for address in (LIST, reverse("admin:identity_apikey_change", args=[key.pk])):
        shown = admin_client.get(address).content.decode()
        assert "bot" in shown
        assert token[15:] not in shown
        assert key.digest not in shown
    assert "key.created" in [one["action"] for one in waiting()]
    assert token not in str(waiting())
    assert admin_client.post(reverse("admin:identity_apikey_change", args=[key.pk]), FORM).status_code == 403


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "This field is required"), ({"scopes": []}, "This field is required"),
        ({"networks": "nowhere"}, "does not appear to be"), ({"expires_in_days": 999}, "From 1 to 365"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_beside_its_field(admin_client, alice, changes, words):
    page = admin_client.post(ADD, {**FORM, "user": alice.pk, **changes})
    assert words in page.content.decode()
    assert not ApiKey.objects.exists()


def test_only_superusers_make_keys_of_others(clerk, admin_user):
    page = clerk.post(ADD, {**FORM, "user": admin_user.pk})
    assert b"Only superusers make keys of others." in page.content
    assert not ApiKey.objects.exists()
    assert clerk.post(ADD, {**FORM, "user": clerk.user.pk}).status_code == 200
    assert ApiKey.objects.get().user == clerk.user


def test_keys_are_found_and_revoked_after_a_question(clerk, alice):
    key, other = key_of(alice).key, key_of(clerk.user).key
    for query, found in (
        (f"q={key.pk}", {key}), ("q=alice", {key}), ("state=active", {key, other}), ("state=revoked", set()),
        ("state=expired", set()), (f"q={other.token_key}", {other}),
    ):  # fmt: skip
        shown = clerk.get(f"{LIST}?{query}").content.decode()
        assert {one for one in (key, other) if str(one.pk) in shown} == found, query
    form = {"action": "revoke", "_selected_action": [key.pk]}
    assert b"There is no way back" in clerk.post(LIST, form).content
    key.refresh_from_db()
    assert key.state == "active"
    clerk.post(LIST, {**form, "answered": "yes"})
    key.refresh_from_db()
    assert key.state == "revoked"
    assert "key.revoked" in [one["action"] for one in waiting()]


def test_a_user_is_deleted_with_their_keys_and_a_key_alone_not_without_a_word_to_the_audit(
    admin_client, clerk, alice
):
    key, other = key_of(alice).key, key_of(alice).key
    KnownPlace.objects.create(user=alice, network="192.0.2.1")
    clerk.post(reverse("admin:identity_apikey_delete", args=[key.pk]), {"post": "yes"})
    assert list(ApiKey.objects.all()) == [other]
    assert "key.revoked" in [one["action"] for one in waiting()]
    admin_client.post(reverse("admin:auth_user_delete", args=[alice.pk]), {"post": "yes"})
    assert not get_user_model().objects.filter(pk=alice.pk).exists()
    assert not ApiKey.objects.exists()
