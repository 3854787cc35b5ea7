"""Writes over HTTP under a worker's token."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from apps.liveness import services
from apps.liveness.models import WorkerSession
from tests.workload.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


@pytest.fixture(autouse=True)
def writing(settings):
    settings.ROOT_URLCONF = "tests.liveness.guarded_urls"


@pytest.fixture
def session(new_user):
    return services.session_start(user_id=new_user().pk)


@pytest.fixture
def write(session):
    """Writes as the session's user."""
    client = APIClient(raise_request_exception=False)

    def write(token, then="", user=None):
        client.force_authenticate(user or session.user)
        headers = {} if token is None else {"Worker-Token": str(token)}
        return client.post("/write", {"then": then}, format="json", headers=headers)

    return write


def refused(answer, status, problem):
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}"), answer.content
    assert answer["Content-Type"] == "application/problem+json"


def test_a_write_counts_while_the_token_is_its_users(write, session):
    assert write(session.token).status_code == 201
    assert Effect.objects.count() == 1


def test_a_fenced_workers_write_is_refused_before_it_is_begun(write, session, new_user):
    services.session_start(user_id=session.user_id)
    refused(write(session.token), 409, "worker-fenced")
    refused(write(10**9), 409, "worker-fenced")
    assert not Effect.objects.exists()


def test_a_worker_that_is_fenced_in_the_middle_of_a_write_has_written_nothing(write, session):
    refused(write(session.token, then="die"), 409, "worker-fenced")
    assert not Effect.objects.exists()


def test_a_write_that_fails_is_rolled_back_and_its_error_is_told(write, session):
    refused(write(session.token, then="fail"), 500, "server-error")
    assert not Effect.objects.exists()
    assert WorkerSession.objects.get().state == "active"


def test_an_answer_of_the_view_stays_what_it_is(write, session):
    refused(write(session.token, then="refuse"), 400, "invalid-request")


def test_another_users_token_guards_nothing_but_for_staff(write, session, new_user):
    refused(write(session.token, user=new_user()), 409, "worker-fenced")
    assert not Effect.objects.exists()
    assert write(session.token, user=new_user(is_staff=True)).status_code == 201


def test_nobody_is_a_worker_without_signing_in(session):
    answer = APIClient().post("/write", {}, format="json", headers={"Worker-Token": str(session.token)})
    assert answer.status_code == 401
    assert not Effect.objects.exists()


@pytest.mark.parametrize("token", ["x", "-1", "", "9" * 30, "1.0"])
def test_a_token_that_is_none_is_refused(write, token):
    refused(write(token), 400, "invalid-request")


def test_without_the_header_and_for_reading_no_token_is_needed(write, session):
    assert write(None).status_code == 201
    client = APIClient()
    client.force_authenticate(session.user)
    assert client.get("/write", headers={"Worker-Token": "1000000"}).status_code == 200
    assert client.post("/nowhere", {}, headers={"Worker-Token": str(session.token)}).status_code == 404
