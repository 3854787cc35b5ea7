"""Read-only links to backtests."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from apps.backtests.models import Backtest
from tests.backtests.helpers import body, finished, post

pytestmark = pytest.mark.django_db


@pytest.fixture
def done(api, stored):
    return finished(api, body(stored, title="my own thoughts", labels=["private"]))


@pytest.fixture
def anybody() -> Client:
    return Client()


def test_whoever_has_the_link_sees_the_result_and_nothing_of_the_owner(api, anybody, alice, done):
    made = api.post(f"{done['url']}/share")
    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    link = made.json()
    seen = anybody.get(link["url"])
    assert seen.status_code == 200
    answer = seen.json()
    assert answer["result"] == done["result"]
    assert answer["spec"] == done["spec"]
    for secret in ("my own thoughts", "private", done["id"], done["task_run"], "alice", "owner"):
        assert secret not in json.dumps(answer), secret
    for name in ("trades_url", "equity_url"):
        assert anybody.get(answer[name]).json() == api.get(done[name]).json()
        assert anybody.get(answer[name], {"format": "csv"}).content == (
            api.get(done[name], {"format": "csv"}).content
        )
    # The address itself opens nothing.
    for address in (done["url"], done["trades_url"], "/api/v1/backtests"):
        assert anybody.get(address).status_code == 401
    for method in ("post", "put", "patch", "delete"):
        assert getattr(anybody, method)(link["url"]).status_code == 405


def test_a_link_is_kept_as_a_hash_and_told_in_no_answer(api, done):
    token = api.post(f"{done['url']}/share").json()["token"]
    assert len(token) >= 43
    kept = Backtest.objects.values_list().get()
    assert token not in str(kept)
    shown = api.get(done["url"])
    assert shown.json()["shared"] is True
    assert shown.json()["shared_at"] is not None
    assert Backtest.objects.get().share_hash not in shown.content.decode()


def test_a_link_that_was_revoked_opens_nothing(api, anybody, done):
    url = api.post(f"{done['url']}/share").json()["url"]
    assert api.delete(f"{done['url']}/share").status_code == 204
    for address in (url, f"{url}/trades", f"{url}/equity"):
        assert anybody.get(address).status_code == 404
    assert api.get(done["url"]).json()["shared"] is False
    assert api.delete(f"{done['url']}/share").status_code == 204


def test_a_new_link_ends_the_one_before(api, anybody, done):
    first, second = (api.post(f"{done['url']}/share").json()["url"] for _ in range(2))
    assert anybody.get(first).status_code == 404
    assert anybody.get(second).status_code == 200


def test_a_deleted_backtest_is_shared_no_more(api, anybody, done):
    url = api.post(f"{done['url']}/share").json()["url"]
    api.delete(done["url"])
    assert anybody.get(url).status_code == 404


def test_what_has_no_result_yet_is_shared_without_one(api, anybody, stored):
    answer = post(api, body(stored)).json()
    url = api.post(f"{answer['url']}/share").json()["url"]
    assert anybody.get(url).json()["result"] is None
    assert anybody.get(f"{url}/trades").status_code == 409


@pytest.mark.parametrize("token", ["x", "None", "0" * 64, "%00", "a" * 5000])
def test_what_is_no_token_opens_nothing(anybody, done, token):
    assert anybody.get(f"/api/v1/shared/backtests/{token}").status_code == 404


def test_nobody_but_the_owner_shares(api, anybody, done, django_user_model):
    admin = Client()
    admin.force_login(django_user_model.objects.create_superuser("root"))
    assert admin.get(done["url"]).status_code == 200
    url = api.post(f"{done['url']}/share").json()["url"]
    for method in ("post", "delete"):
        assert getattr(admin, method)(f"{done['url']}/share").status_code == 403
    assert anybody.get(url).status_code == 200
