"""The history of trading workers in the admin: a list, and a page of each session."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from apps.core.ids import uuid7
from apps.liveness import services
from apps.liveness.leases import Beat
from apps.liveness.models import WorkerSession
from apps.liveness.redis import client
from apps.liveness.states import SessionState
from apps.tasks.models import TaskRun
from tests.liveness.browsing import (
    DECLARE_MEMBER,
    DECLARE_SESSIONS,
    LIST,
    NOW,
    SCANS,
    XSS,
    beat,
    conditions,
    found,
    hidden,
    listed,
    messages,
    page_of,
    silent,
    state,
    text,
)
from tests.liveness.helpers import rebuilt
from tests.tasks.operating import running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


def test_sessions_are_found_by_user_worker_id_and_state(admin_client, start, new_user):
    ann, bob = new_user("ann"), new_user("bob")
    first, second, third = start("box/1", ann), start("rack/9", ann), start("box/3", bob)
    assert listed(admin_client) == [third.pk, second.pk, first.pk]
    for query, wanted in (
        ({"q": "ann"}, [second, first]), ({"q": "box"}, [third, first]), ({"q": "BOX/3"}, [third]),
        ({"q": str(second.pk)}, [second]), ({"q": "nothing"}, []), ({"q": str(uuid7())}, []),
        ({"state": "active"}, [third, second]), ({"state": "replaced"}, [first]), ({"state": "dead"}, []),
        ({"user": bob.pk}, [third]), ({"state": "replaced", "q": "rack"}, []),
        # What makes no sense selects everything.
        ({"state": "x"}, [third, second, first]),
    ):  # fmt: skip
        assert listed(admin_client, **query) == [one.pk for one in wanted], query


def test_the_list_shows_how_sessions_stand_now_and_how_they_ended(admin_client, start, new_user):
    user = new_user()
    start("replaced", user)
    alive, stale, dead = start("alive", user), start("stale"), start("dead")
    services.session_declare_dead(session_id=dead.pk, reason="it hangs")
    rebuilt()
    silent(stale, 50)
    running_for(user)
    page = text(admin_client.get(LIST))
    assert conditions(page) == ["dead", "stale", "alive", "replaced"]
    assert "it hangs" in page
    assert re.findall(r'<td class="field-running">(.*?)</td>', page) == ["", "0", "1", ""]
    assert alive.worker in page


def running_for(user):
    run = running()
    TaskRun.objects.filter(pk=run.pk).update(meta={**run.meta, "actor": f"user:{user.pk}"})
    return run


def test_the_list_asks_the_database_as_often_and_redis_once_however_many_there_are(
    admin_client, start, monkeypatch, django_assert_max_num_queries
):
    for number in range(2):
        start(f"box/{number}")
    with django_assert_max_num_queries(15) as few:
        admin_client.get(LIST)
    for number in range(10):
        start(f"rack/{number}")
    asked = []
    ask = client().execute_command

    def execute_command(*given, **options):
        asked.append(given)
        return ask(*given, **options)

    monkeypatch.setattr(client(), "execute_command", execute_command)
    with django_assert_max_num_queries(len(few)):
        assert len(listed(admin_client)) == 12
    assert len(asked) == 1


def test_a_session_is_shown_with_its_timeline_and_what_runs_for_its_user(
    admin_client, admin_user, start, new_user
):
    user = new_user("ann")
    session = start("box/1", user)
    run = running_for(user)
    page = text(admin_client.get(page_of(session)))
    assert conditions(page) == ["alive"]
    assert reverse("admin:tasks_taskrun_change", args=[run.pk]) in page
    assert "worker.started" in page
    assert "A trading worker began to work for its user" in page
    assert f'href="{DECLARE_SESSIONS}?session={session.pk}"' in page
    page = text(admin_client.get(DECLARE_SESSIONS, {"session": session.pk}))
    asked = {**hidden(page, "session"), "reason": "it hangs"}
    done = admin_client.post(DECLARE_SESSIONS, asked, follow=True)
    assert done.redirect_chain == [(page_of(session), 302)]
    assert messages(done) == ["Declared dead: 1 trading worker."]
    assert conditions(text(done)) == ["dead"]
    assert "worker.declared_dead" in text(done)
    assert f"user:{admin_user.pk}" in text(done)
    assert "Declare dead …" not in text(done)
    assert beat(session) is Beat.FENCED
    done = admin_client.get(DECLARE_SESSIONS, {"session": session.pk}, follow=True)
    assert messages(done) == ["It was over already: nothing was done."]


def test_secrets_that_a_worker_was_given_in_words_are_masked(admin_client, start):
    session = start("box/1")
    services.session_stop(user_id=session.user_id, token=session.token, reason="password=hunter2")
    timeline = text(admin_client.get(page_of(session))).split('id="timeline"')[1]
    assert "hunter2" not in timeline
    # The token guards writes, and opens nothing.
    assert str(session.token) in timeline


def test_selected_workers_are_shown_before_they_are_declared_dead(admin_client, start):
    first, second, third = start("box/1"), start("box/2"), start("box/3")
    selected = {"action": "declare_dead", "_selected_action": [first.pk, second.pk]}
    page = text(admin_client.post(LIST, selected))
    assert "Declare dead: 2 trading workers" in page
    assert "box/1" in page
    assert "box/3" not in page
    assert state(first) == SessionState.ACTIVE
    asked = hidden(page, "session")
    assert "This field is required" in text(admin_client.post(DECLARE_SESSIONS, {**asked, "reason": ""}))
    services.session_stop(user_id=second.user_id, token=second.token)
    done = admin_client.post(DECLARE_SESSIONS, {**asked, "reason": "moved"}, follow=True)
    assert done.redirect_chain == [(LIST, 302)]
    assert messages(done) == [
        "Declared dead: 1 trading worker.",
        "Over already, and nothing done to them: 1.",
    ]
    assert [state(one) for one in (first, second, third)] == [
        SessionState.DEAD, SessionState.STOPPED, SessionState.ACTIVE,
    ]  # fmt: skip
    assert [beat(one) for one in (first, third)] == [Beat.FENCED, Beat.BEATING]
    done = admin_client.post(LIST, selected, follow=True)
    assert messages(done) == ["All of these are over already."]


def test_a_selection_across_pages_is_all_that_the_list_selects(admin_client, start):
    boxes = [start(f"box/{number}") for number in range(3)]
    other = start("rack/1")
    selected = {"action": "declare_dead", "select_across": "1", "_selected_action": [boxes[0].pk]}
    page = text(admin_client.post(f"{LIST}?q=box", selected))
    assert hidden(page, "session") == {"session": [str(one.pk) for one in reversed(boxes)]}
    assert str(other.pk) not in page


def test_sessions_of_deleted_users_are_shown_like_all_others(admin_client, start, new_user):
    user = new_user("gone")
    ended, active = start("box/1", user), start("box/2", user)
    user.delete()
    assert listed(admin_client) == listed(admin_client, q="box") == [active.pk, ended.pk]
    assert listed(admin_client, q=str(ended.pk)) == [ended.pk]
    assert listed(admin_client, user=ended.user_id) == [active.pk, ended.pk]
    assert f"user {active.user_id} (deleted)" in text(admin_client.get(LIST))
    assert f"user {active.user_id} (deleted)" in text(admin_client.get(page_of(active)))
    assert f"user {active.user_id}" in text(admin_client.get(NOW))
    page = text(admin_client.get(DECLARE_MEMBER, {"population": "workers", "member": active.user_id}))
    asked = hidden(page, "population", "member", "token")
    admin_client.post(DECLARE_MEMBER, {**asked, "reason": "nobody's"})
    assert state(active) == SessionState.DEAD


def test_what_workers_call_themselves_is_escaped_everywhere(admin_client, start):
    session = start(XSS)
    # As no service would name it.
    WorkerSession.objects.filter(pk=session.pk).update(reason=XSS)
    scan = found(orphans=[{"member": XSS, "kind": "orphan_mark", "silence": None}], refused=XSS)
    selected = {"action": "declare_dead", "_selected_action": [session.pk]}
    member = {"population": "workers", "member": session.user_id}
    for response in (
        admin_client.get(NOW), admin_client.get(LIST), admin_client.get(page_of(session)),
        admin_client.get(DECLARE_MEMBER, member), admin_client.post(LIST, selected),
        admin_client.get(SCANS), admin_client.get(reverse("admin:liveness_scan_change", args=[scan.pk])),
    ):  # fmt: skip
        page = text(response)
        assert XSS not in page
        assert "&lt;script&gt;" in page


def test_rows_are_never_edited(admin_client, start):
    session, scan = start(), found()
    for name, row in (("workersession", session), ("scan", scan)):
        page = reverse(f"admin:liveness_{name}_change", args=[row.pk])
        assert admin_client.post(page, {"reason": "x"}).status_code == 403
        assert admin_client.get(reverse(f"admin:liveness_{name}_add")).status_code == 403
        delete = reverse(f"admin:liveness_{name}_delete", args=[row.pk])
        assert admin_client.post(delete, {"post": "yes"}).status_code == 403
        missing = reverse(f"admin:liveness_{name}_change", args=[uuid7()])
        assert admin_client.get(missing, follow=True).status_code == 200
