"""Operators see who is alive in the admin, declare dead, and have orphans looked for."""

from __future__ import annotations

import re
import time
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from apps.core.ids import uuid7
from apps.events.selectors import read_stream
from apps.liveness.leases import Beat
from apps.liveness.marks import worker_leases
from apps.liveness.models import Scan, WorkerSession
from apps.liveness.reconciling import reconcile_orphans
from apps.liveness.states import SessionState
from apps.liveness.workers import TradingWorkers
from apps.tasks.models import Process, TaskRun
from apps.tasks.populations import run_leases
from apps.tasks.processes import Report
from apps.tasks.states import State
from tests.liveness.browsing import (
    DECLARE_MEMBER,
    DECLARE_SESSIONS,
    LIST,
    NOW,
    RECONCILE,
    SCANS,
    beat,
    conditions,
    found,
    hidden,
    messages,
    page_of,
    silent,
    state,
    text,
)
from tests.liveness.helpers import elapse, rebuilt
from tests.tasks.operating import running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


# The board ----------------------------------------------------------------------------------------


def test_the_board_shows_each_population_with_who_is_silent_for_longest_first(admin_client, start):
    sessions = [start(name) for name in ("alive", "stale", "orphaned", "unmarked")]
    rebuilt()
    for session, seconds in zip(sessions, (1, 40, 100), strict=False):
        silent(session, seconds)
    worker_leases().release(str(sessions[3].user_id), sessions[3].token)
    WorkerSession.objects.filter(pk=sessions[3].pk).update(
        last_seen_at="2020-01-01T00:00Z", started_at="2020-01-01T00:00Z"
    )
    page = text(admin_client.get(NOW))
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "Trading workers", "Processes of the platform", "Running runs", "The last looks for orphans",
    ]  # fmt: skip
    assert conditions(page) == ["unmarked", "orphaned", "stale", "alive"]
    assert "<b>1</b> alive" in page
    assert "<b>1</b> stale" in page
    assert "<b>1</b> orphaned" in page
    assert "complete since" in page
    assert "not complete" in page
    for session in sessions:
        assert f'<a href="{page_of(session)}">' in page
    assert 'http-equiv="refresh"' not in page
    assert 'http-equiv="refresh"' in text(admin_client.get(NOW, {"refresh": "on"}))


def test_the_board_shows_processes_with_what_they_run(admin_client):
    Report(Process.Kind.WORKER, name="box/7").write()
    runs = [running(worker="box/7") for _ in range(7)]
    page = text(admin_client.get(NOW))
    (process,) = Process.objects.all()
    assert f'<a href="{reverse("admin:tasks_process_change", args=[process.pk])}">box/7</a>' in page
    shown = [run for run in runs if reverse("admin:tasks_taskrun_change", args=[run.pk]) in page]
    assert len(shown) == 5
    assert "+2 more" in page


def test_a_mark_of_whom_the_database_does_not_know_is_shown_and_cannot_be_declared_dead(admin_client):
    worker_leases().register("4711", 1)
    page = text(admin_client.get(NOW))
    assert "4711" in page
    assert "the database does not know it" in page
    assert "declare dead" not in page


def test_the_board_takes_as_many_queries_for_many_as_for_few(
    admin_client, start, django_assert_max_num_queries
):
    start("first")
    with django_assert_max_num_queries(40) as few:
        admin_client.get(NOW)
    for number in range(5):
        start(f"box/{number}")
    for _ in range(3):
        reconcile_orphans()
    with django_assert_max_num_queries(len(few)):
        admin_client.get(NOW)


# Declaring a member dead --------------------------------------------------------------------------


def test_a_declaration_asks_for_a_reason_then_ends_the_session_and_fences_the_worker(
    admin_client, admin_user, start
):
    session = start("box/1")
    board = text(admin_client.get(NOW))
    (link,) = re.findall(r'href="([^"]*)">declare dead', board)
    page = text(admin_client.get(unescape(link)))
    assert "The session ends." in page
    assert "box/1" in page
    asked = hidden(page, "population", "member", "token")
    assert asked == {
        "population": ["workers"], "member": [str(session.user_id)], "token": [str(session.token)]
    }  # fmt: skip
    assert "This field is required" in text(admin_client.post(DECLARE_MEMBER, {**asked, "reason": " "}))
    assert (state(session), beat(session)) == (SessionState.ACTIVE, Beat.BEATING)
    done = admin_client.post(DECLARE_MEMBER, {**asked, "reason": "it hangs"}, follow=True)
    assert done.redirect_chain == [(NOW, 302)]
    (message,) = messages(done)
    assert message.startswith("Declared dead: ")
    assert (state(session), session.reason) == (SessionState.DEAD, "it hangs")
    assert beat(session) is Beat.FENCED
    event = read_stream(session.stream)[-1]
    assert (event.type, event.meta["actor"]) == ("worker.declared_dead", f"user:{admin_user.pk}")
    again = admin_client.post(DECLARE_MEMBER, {**asked, "reason": "it hangs"}, follow=True)
    assert messages(again) == ["It was over already: nothing was done."]


def test_who_has_followed_the_worker_that_was_shown_is_left_alone(admin_client, start, new_user):
    user = new_user()
    before = start("before", user)
    query = {"population": "workers", "member": str(user.pk)}
    asked = hidden(text(admin_client.get(DECLARE_MEMBER, query)), "population", "member", "token")
    after = start("after", user)
    done = admin_client.post(DECLARE_MEMBER, {**asked, "reason": "it hangs"}, follow=True)
    assert messages(done) == ["It was over already: nothing was done."]
    assert (state(before), state(after)) == (SessionState.REPLACED, SessionState.ACTIVE)


def test_a_process_that_is_declared_dead_loses_its_runs(admin_client):
    report = Report(Process.Kind.WORKER, name="box/7")
    report.write()
    run = running(worker="box/7")
    (process,) = Process.objects.all()
    query = {"population": "processes", "member": str(process.pk)}
    page = text(admin_client.get(DECLARE_MEMBER, query))
    assert "goes elsewhere at once" in page
    asked = hidden(page, "population", "member", "token")
    done = admin_client.post(DECLARE_MEMBER, {**asked, "reason": "burning"}, follow=True)
    assert messages(done) == ["Declared dead: box/7."]
    report.write()
    assert report.condemned == "burning"
    assert TaskRun.objects.get(pk=run.pk).state == State.SCHEDULED


def test_a_run_that_is_declared_dead_is_taken_from_its_worker(admin_client):
    run = running(worker="box/7")
    run_leases().register(str(run.pk), run.fence)
    board = text(admin_client.get(NOW))
    (link,) = re.findall(r'href="([^"]*population=runs[^"]*)">declare dead', board)
    asked = hidden(text(admin_client.get(unescape(link))), "population", "member", "token")
    admin_client.post(DECLARE_MEMBER, {**asked, "reason": "stuck"})
    assert TaskRun.objects.get(pk=run.pk).state == State.SCHEDULED


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 404),
        ({"population": "unicorns", "member": "1"}, 404),
        ({"population": "workers"}, 302),
        ({"population": "workers", "member": "x\0"}, 302),
        ({"population": "workers", "member": "9" * 18}, 302),
        ({"population": "processes", "member": "x\0"}, 302),
        ({"population": "runs", "member": str(uuid7())}, 302),
    ],
)
def test_nobody_is_declared_dead_who_is_not_there(admin_client, query, status):
    assert admin_client.get(DECLARE_MEMBER, query).status_code == status
    assert admin_client.post(DECLARE_MEMBER, {**query, "reason": "x"}).status_code == status


# Looking for orphans ------------------------------------------------------------------------------


def test_orphans_are_looked_for_at_once(admin_client, start, settings):
    settings.LIVENESS_START_GRACE = 0.0
    dead, alive = start("dead"), start("alive")
    rebuilt()
    silent(dead, 1000)
    done = admin_client.post(RECONCILE, follow=True)
    assert done.redirect_chain == [(NOW, 302)]
    assert re.fullmatch(r"Looked at \d+ members in \d+ ms: 1 orphans, 1 settled\.", messages(done)[0])
    # The sets of processes and runs were never complete before.
    assert [one for one in messages(done) if one.startswith("Running runs left alone: Redis had lost")]
    assert (state(dead), state(alive)) == (SessionState.ORPHANED, SessionState.ACTIVE)
    (scan,) = Scan.objects.all()
    assert reverse("admin:liveness_scan_change", args=[scan.pk]) in text(done)


def test_a_mass_that_is_late_is_settled_only_when_somebody_confirms(admin_client, start, settings):
    settings.LIVENESS_START_GRACE = 0.0
    sessions = [start(f"box/{number}") for number in range(12)]
    rebuilt()
    assert "although most are late" not in text(admin_client.get(NOW))
    assert admin_client.get(RECONCILE).status_code == 302
    elapse(100)
    done = admin_client.post(RECONCILE, follow=True)
    assert [one for one in messages(done) if one.startswith("Trading workers left alone: most of")]
    assert {state(one) for one in sessions} == {SessionState.ACTIVE}
    assert f'href="{RECONCILE}">Settle them although most are late at once' in text(done)
    page = text(admin_client.get(RECONCILE))
    assert "have to begin anew" in page
    assert '<td class="n bad">12</td>' in page
    assert {state(one) for one in sessions} == {SessionState.ACTIVE}
    done = admin_client.post(RECONCILE, {"force": "on"}, follow=True)
    assert "12 orphans, 12 settled." in messages(done)[0]
    assert {state(one) for one in sessions} == {SessionState.ORPHANED}
    assert "although most are late" not in text(done)


def test_a_look_that_goes_wrong_in_part_says_so(admin_client, monkeypatch):
    def broken(self):
        raise RuntimeError("no such row")
        yield

    monkeypatch.setattr(TradingWorkers, "holders", broken)
    done = admin_client.post(RECONCILE, follow=True)
    assert messages(done) == ["In part it went wrong: RuntimeError: no such row"]
    assert Scan.objects.get().populations["workers"]["refused"] == "RuntimeError: no such row"


# Scans --------------------------------------------------------------------------------------------


def test_scans_are_listed_and_those_that_found_something_apart(admin_client):
    reconcile_orphans()
    # Of two ids made in one millisecond either may be the later one.
    time.sleep(0.002)
    scan = found()
    quiet = Scan.objects.exclude(pk=scan.pk).get()

    def scans(**query):
        response = admin_client.get(SCANS, query)
        assert response.status_code == 200
        return [one.pk for one in response.context["cl"].result_list]

    assert scans() == [scan.pk, quiet.pk]
    assert scans(found="something") == [scan.pk]
    assert scans(found="nothing") == [quiet.pk]
    assert "12.3" in text(admin_client.get(SCANS))


def test_a_scan_shows_what_it_found_in_each_population(admin_client):
    scan = found(refused="the clock of Redis was set")
    page = text(admin_client.get(reverse("admin:liveness_scan_change", args=[scan.pk])))
    assert "Trading workers" in page
    assert "left alone: the clock of Redis was set" in page
    rows = re.findall(r"<tr><td>(.*?)</td><td .*?>(.*?)</td><td .*?>(\d+)</td><td .*?>(\d+)</td></tr>", page)
    assert [(kind, seen, acted) for kind, _, seen, acted in rows] == [
        ("Orphan mark", "1", "0"), ("Stale mark", "1", "1"),
    ]  # fmt: skip
    assert f'<a href="{LIST}?user=17">user 17</a>' in page
    assert "unicorn" in page
    assert "91.5 s" in page
    part = {"members": 0, "found": {}, "acted": {}, "refused": "", "mass": False, "orphans": []}
    every = dict.fromkeys(("gone", "runs", "workers", "processes"), part)
    later = Scan.objects.create(duration=0.0, members=0, found=0, acted=0, populations=every)
    page = text(admin_client.get(reverse("admin:liveness_scan_change", args=[later.pk])))
    assert re.findall('<div class="module" id="(.*?)">', page) == ["workers", "processes", "runs", "gone"]
    quiet = Scan.objects.create(duration=0.0, members=0, found=0, acted=0)
    page = text(admin_client.get(reverse("admin:liveness_scan_change", args=[quiet.pk])))
    assert "No population was looked at" in page


def test_scans_take_as_many_queries_for_many_as_for_few(admin_client, django_assert_max_num_queries):
    found()
    with django_assert_max_num_queries(12) as few:
        admin_client.get(SCANS)
    for _ in range(10):
        found()
    with django_assert_max_num_queries(len(few)):
        admin_client.get(SCANS)


# Without Redis, and without permission ------------------------------------------------------------


def test_everything_is_shown_while_redis_is_away_and_workers_can_be_declared_dead(
    admin_client, start, redis_away
):
    session = start("box/1")
    page = text(admin_client.get(NOW))
    assert page.count("Redis does not answer.") == 3
    assert conditions(text(admin_client.get(LIST))) == ["alive"]
    assert conditions(text(admin_client.get(page_of(session)))) == ["alive"]
    assert text(admin_client.get(SCANS))
    page = text(admin_client.get(DECLARE_MEMBER, {"population": "workers", "member": session.user_id}))
    assert "Redis does not say" in page
    asked = hidden(page, "population", "member", "token")
    done = admin_client.post(DECLARE_MEMBER, {**asked, "reason": "it hangs"}, follow=True)
    assert messages(done)[0].startswith("Declared dead: ")
    assert (state(session), beat(session)) == (SessionState.DEAD, Beat.FENCED)
    done = admin_client.post(RECONCILE, follow=True)
    assert "Trading workers left alone: Redis does not answer" in messages(done)[1]


def test_a_process_can_be_declared_dead_while_redis_is_away(admin_client, redis_away):
    Report(Process.Kind.WORKER, name="box/7").write()
    (process,) = Process.objects.all()
    query = {"population": "processes", "member": str(process.pk)}
    asked = hidden(text(admin_client.get(DECLARE_MEMBER, query)), "population", "member", "token")
    done = admin_client.post(DECLARE_MEMBER, {**asked, "reason": "burning"}, follow=True)
    assert messages(done) == ["Declared dead: box/7."]
    assert Process.objects.get().lost_at is not None


def test_who_may_only_look_sees_no_deed_and_does_none(viewer, start):
    sessions = [start(f"box/{number}") for number in range(12)]
    session = sessions[0]
    found(mass=True)
    pages = [text(viewer.get(url)) for url in (NOW, LIST, page_of(session), SCANS)]
    for page in pages:
        assert "eclare dead" not in page
        assert "eclare the selected" not in page
        assert "Look for orphans now" not in page
        assert "although most are late" not in page
    member = {"population": "workers", "member": str(session.user_id), "token": str(session.token)}
    for url, data in (
        (DECLARE_MEMBER, member), (DECLARE_SESSIONS, {"session": str(session.pk)}), (RECONCILE, {}),
        (RECONCILE, {"force": "on"}),
    ):  # fmt: skip
        assert viewer.get(url, data).status_code == 403
        assert viewer.post(url, {**data, "reason": "x"}).status_code == 403
    viewer.post(LIST, {"action": "declare_dead", "_selected_action": [session.pk]})
    assert (state(session), beat(session)) == (SessionState.ACTIVE, Beat.BEATING)
    assert Scan.objects.count() == 1


def test_who_may_look_at_nothing_sees_nothing(client, new_user, start):
    client.force_login(new_user(is_staff=True))
    session, scan = start(), found()
    for url in (
        NOW, LIST, page_of(session), SCANS, reverse("admin:liveness_scan_change", args=[scan.pk])
    ):  # fmt: skip
        assert client.get(url).status_code == 403
    client.logout()
    assert client.get(NOW).status_code == 302


def test_who_may_not_see_scans_gets_no_links_to_them(client, new_user):
    user = new_user(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_workersession"))
    client.force_login(user)
    scan = found()
    page = text(client.get(NOW))
    assert f"{scan.at:%Y-%m-%d %H:%M:%S}" in page
    assert str(scan.pk) not in page
