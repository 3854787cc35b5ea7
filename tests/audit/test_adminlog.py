"""What is added, changed and deleted in the admin is told of, one object or many."""

from __future__ import annotations

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import transaction

from apps.audit import adminlog
from tests.audit.chaining import waiting, written

GROUPS = "/admin/auth/group/"


def deeds(prefix: str = "admin.") -> list[dict]:
    return [one for one in waiting() if one["action"].startswith(prefix) and one["action"] != "admin.write"]


def test_adding_changing_and_deleting_one(chain, admin_client, admin_user):
    admin_client.post(f"{GROUPS}add/", {"name": "traders"})
    group = Group.objects.get()
    admin_client.post(f"{GROUPS}{group.pk}/change/", {"name": "sellers"})
    admin_client.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"})
    told = deeds()
    assert [one["action"] for one in told] == ["admin.added", "admin.changed", "admin.deleted"]
    assert {(one["object_type"], one["object_id"], one["actor"]) for one in told} == {
        ("auth.group", str(group.pk), f"user:{admin_user.pk}")
    }
    assert told[1]["detail"] == {"object": "sellers", "message": "Changed Name."}
    assert [one["detail"]["object"] for one in told] == ["traders", "sellers", "sellers"]
    rows = written(object_id=str(group.pk))
    # The form itself is told of beside what came of it, under one request.
    assert len({row.correlation_id for row in rows if row.action in ("admin.write", "admin.changed")}) >= 1
    changed = next(row for row in rows if row.action == "admin.changed")
    assert [row.action for row in rows if row.correlation_id == changed.correlation_id] == [
        "admin.changed", "admin.write"
    ]  # fmt: skip


def test_deleting_many_tells_of_each(chain, admin_client):
    groups = [Group.objects.create(name=f"g{number}") for number in range(3)]
    admin_client.post(
        GROUPS,
        {"action": "delete_selected", "_selected_action": [group.pk for group in groups], "post": "yes"},
    )
    assert not Group.objects.exists()
    told = deeds("admin.deleted")
    assert {one["object_id"] for one in told} == {str(group.pk) for group in groups}
    assert LogEntry.objects.count() == 3


def test_passwords_and_rights_are_told_of_without_the_password(chain, admin_client, django_user_model):
    user = django_user_model.objects.create_user("ann", password="x")
    password = "correct-Horse-7"
    admin_client.post(
        f"/admin/auth/user/{user.pk}/password/",
        {"password1": password, "password2": password, "usable_password": "true"},
    )
    user.refresh_from_db()
    assert user.check_password(password)
    (told,) = deeds()
    assert (told["action"], told["object_id"]) == ("admin.changed", str(user.pk))
    assert "password" in told["detail"]["message"].lower()
    assert password not in json.dumps(waiting())


def test_what_is_rolled_back_is_not_told_of(chain, admin_user):
    with pytest.raises(RuntimeError), transaction.atomic():
        LogEntry.objects.log_actions(admin_user.pk, [admin_user], 2, "undone", single_object=True)
        raise RuntimeError
    assert waiting() == []


def test_connecting_twice_tells_once(chain, admin_user):
    adminlog.connect()
    LogEntry.objects.log_actions(admin_user.pk, [admin_user], 2, "once", single_object=True)
    assert len(waiting()) == 1
