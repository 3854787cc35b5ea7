"""Workers over HTTP."""

from __future__ import annotations

import uuid

import pytest
from rest_framework.test import APIClient

from apps.liveness import services
from apps.liveness.leases import Beat
from apps.liveness.marks import worker_leases
from apps.liveness.models import WorkerSession
from tests.liveness.helpers import elapse, rebuilt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

HEARTBEAT = "/api/v1/workers/heartbeat"


@pytest.fixture
def user(new_user):
    return new_user()


@pytest.fixture
def api(user):
    return signed_in(user)


@pytest.fixture
def staff(new_user):
    return signed_in(new_user(is_staff=True))


def signed_in(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def begin(api, **body):
    answer = api.post(HEARTBEAT, body, format="json")
    assert answer.status_code == 201, answer.json()
    return answer.json()


def refused(answer, status, problem):
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}"), answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    return answer.json()


def test_a_first_heartbeat_begins_a_session_and_the_next_ones_keep_it(api, user):
    begun = begin(api, worker="node/7")
    assert begun["beat_every"] == 5.0
    assert begun["orphan_after"] == 90.0
    session = WorkerSession.objects.get()
    assert (session.user_id, session.worker, str(session.pk)) == (user.pk, "node/7", begun["session"])
    answer = api.post(HEARTBEAT, {"token": begun["token"]}, format="json")
    assert answer.status_code == 200
    assert answer.json() == {"token": begun["token"], "beat_every": 5.0, "orphan_after": 90.0}


def test_a_fenced_worker_is_told_why(api):
    first = begin(api)
    begin(api, worker="b")
    found = refused(api.post(HEARTBEAT, {"token": first["token"]}, format="json"), 409, "worker-fenced")
    assert found["detail"] == "The session is over: replaced, worker b of the user began."
    found = refused(api.post(HEARTBEAT, {"token": 10**9}, format="json"), 409, "worker-fenced")
    assert found["detail"] == f"No session of this user has token {10**9}."


def test_a_worker_that_is_just_being_declared_dead_is_told_so(api):
    begun = begin(api)
    rebuilt()
    elapse(200)
    worker_leases().reap()
    found = refused(api.post(HEARTBEAT, {"token": begun["token"]}, format="json"), 409, "worker-fenced")
    assert "is being declared dead" in found["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"token": "x"}, "token"),
        ({"token": 0}, "token"),
        ({"token": 2**60}, "token"),
        ({"worker": "x" * 201}, "worker"),
        ({"worker": ""}, "worker"),
        ({"token": 1, "worker": "x"}, "worker"),
        ({"tokken": 1}, "tokken"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_field_named(api, body, field):
    found = refused(api.post(HEARTBEAT, body, format="json"), 400, "invalid-request")
    assert [error["field"] for error in found["errors"]] == [field]
    assert not WorkerSession.objects.exists()


def test_nobody_speaks_for_another_users_worker_but_staff(api, staff, user, new_user):
    other = new_user()
    refused(api.post(HEARTBEAT, {"user": other.pk}, format="json"), 403, "permission-denied")
    begun = begin(staff, user=other.pk)
    assert WorkerSession.objects.get().user_id == other.pk
    refused(api.post(HEARTBEAT, {"token": begun["token"]}, format="json"), 409, "worker-fenced")
    beat = {"token": begun["token"], "user": other.pk}
    assert staff.post(HEARTBEAT, beat, format="json").status_code == 200
    refused(staff.post(HEARTBEAT, {"user": 10**6}, format="json"), 400, "invalid-request")


def test_strangers_are_refused():
    refused(APIClient().post(HEARTBEAT, {}, format="json"), 401, "not-authenticated")


def test_heartbeats_are_heard_while_redis_is_away(api, redis_away):
    begun = begin(api)
    before = WorkerSession.objects.get().last_seen_at
    assert api.post(HEARTBEAT, {"token": begun["token"]}, format="json").status_code == 200
    assert WorkerSession.objects.get().last_seen_at > before
    [shown] = api.get("/api/v1/workers").json()
    assert shown["condition"] == "alive"


def test_a_worker_stops_in_order(api):
    begun = begin(api)
    body = {"token": begun["token"], "reason": "end of session"}
    assert api.post("/api/v1/workers/stop", body, format="json").status_code == 204
    assert WorkerSession.objects.get().reason == "end of session"
    refused(api.post("/api/v1/workers/stop", body, format="json"), 409, "worker-fenced")


def test_sessions_are_listed_with_how_they_stand(api, staff, user, new_user):
    gone = begin(api, worker="a")
    begin(api, worker="b")
    services.session_start(user_id=new_user().pk, worker="other")
    rebuilt()
    elapse(60)
    mine = api.get("/api/v1/workers").json()
    assert [(one["worker"], one["state"], one["condition"]) for one in mine] == [
        ("b", "active", "stale"),
        ("a", "replaced", "replaced"),
    ]
    assert len(staff.get("/api/v1/workers").json()) == 3
    assert [one["worker"] for one in staff.get(f"/api/v1/workers?state=active&user={user.pk}").json()] == [
        "b"
    ]
    assert len(staff.get("/api/v1/workers?limit=2").json()) == 2
    refused(api.get("/api/v1/workers?state=happy"), 400, "invalid-request")
    elapse(40)
    assert api.get("/api/v1/workers?state=active").json()[0]["condition"] == "orphaned"
    worker_leases().release(str(user.pk), mine[0]["token"])
    assert api.get("/api/v1/workers?state=active").json()[0]["condition"] == "unmarked"
    assert gone["token"] == mine[1]["token"]


def test_one_session_is_shown_with_its_history_to_its_user_and_staff(api, staff, new_user):
    begun = begin(api, worker="a")
    address = f"/api/v1/workers/{begun['session']}"
    for client in (api, staff):
        shown = client.get(address).json()
        assert (shown["condition"], [event["type"] for event in shown["events"]]) == (
            "alive",
            ["worker.started"],
        )
    refused(signed_in(new_user()).get(address), 404, "not-found")
    refused(api.get(f"/api/v1/workers/{uuid.uuid4()}"), 404, "not-found")


def test_operators_declare_workers_dead(api, staff, user):
    begun = begin(api)
    address = f"/api/v1/workers/{begun['session']}/declare-dead"
    refused(api.post(address, {"reason": "x"}, format="json"), 403, "permission-denied")
    refused(staff.post(address, {}, format="json"), 400, "invalid-request")
    shown = staff.post(address, {"reason": "hangs"}, format="json").json()
    assert (shown["state"], shown["reason"]) == ("dead", "hangs")
    refused(staff.post(address, {"reason": "x"}, format="json"), 409, "conflict")
    assert services.session_beat(user_id=user.pk, token=begun["token"]) is Beat.FENCED


def test_a_worker_may_send_its_token_as_the_header_of_writes_here_too(api):
    begun = begin(api)
    body, headers = {"token": begun["token"]}, {"Worker-Token": str(begun["token"])}
    assert api.post(HEARTBEAT, body, format="json", headers=headers).status_code == 200
    assert api.post("/api/v1/workers/stop", body, format="json", headers=headers).status_code == 204
    refused(api.post(HEARTBEAT, body, format="json", headers=headers), 409, "worker-fenced")
