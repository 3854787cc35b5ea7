"""Who sees what on the landing page, the dashboard, the indexes, and where people sign in."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.backtests.models import Backtest
from apps.candles import chart_index
from apps.operations import cards, snapshot
from tests.candles.helpers import instrument
from tests.operations.helpers import all_kinds, anew, permitted
from tests.tasks.operating import dead, waiting

pytestmark = pytest.mark.django_db

#: Nothing of this passes a strict policy.
_INLINE = re.compile(r"""<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:""", re.IGNORECASE)
_CARD = re.compile(r'id="card-(\w+)"')


def text(response) -> str:
    assert response.status_code == 200, response.content
    return response.content.decode()


@pytest.fixture
def staff(new_user):
    return new_user("ada", is_staff=True)


# The landing page --------------------------------------------------------------------------------


def test_strangers_see_prices_and_whether_it_works_and_not_what_is_up(client):
    market = instrument("BTC/USDT", followed=True)
    page = text(client.get("/"))
    assert "degraded" in page
    assert 'href="/charts/binance/BTC/USDT"' in page
    assert "data-state-of" not in page
    assert 'href="/login?next=/"' in page
    assert market.text in page
    all_kinds()
    anew()
    document = client.get("/status.json").json()
    assert document["status"] == "operational"
    assert "states" not in document
    assert [one["instrument"] for one in document["prices"]] == ["binance:BTC/USDT"]
    assert document["figures"]["instruments followed"] == "1"


def test_staff_see_what_is_up_and_everybody_where_that_is_public(client, new_user, staff, settings):
    all_kinds()
    states = {"Database": "up", "Redis": "up", "SQS": "up", "Workers": "up", "Relay": "up", "Beat": "up"}
    client.force_login(new_user())
    assert "states" not in client.get("/status.json").json()
    client.force_login(staff)
    told = client.get("/status.json").json()["states"]
    assert {one["name"]: one["state"] for one in told} == states
    assert 'data-state-of="Redis"' in text(client.get("/"))
    settings.STATUS_PUBLIC = True
    assert 'data-state-of="Redis"' in text(Client().get("/"))


def test_the_status_is_not_sent_twice(client):
    first = client.get("/status.json")
    again = client.get("/status.json", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "Cookie" in again["Vary"]
    # As a proxy names it that compresses.
    weak = client.get("/status.json", headers={"If-None-Match": f"W/{first['ETag']}"})
    assert weak.status_code == 304


def test_without_the_database_the_page_says_that_it_is_down(client, staff, database_away):
    client.force_login(staff)
    with database_away():
        page = text(client.get("/"))
        status = client.get("/status.json").json()["status"]
    assert ">down<" in page
    assert status == "down"


def test_heads_robots_and_the_icon(client):
    head = client.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert "Disallow: /admin/" in text(client.get("/robots.txt"))
    assert client.get("/favicon.ico").url.endswith("core/favicon.svg")
    assert client.post("/").status_code == 405


def test_no_page_needs_more_than_a_strict_policy(client, staff):
    instrument("BTC/USDT", followed=True)
    pages = [client.get(address) for address in ("/", "/charts/", "/login")]
    client.force_login(permitted(staff, "tasks.view_taskrun"))
    pages += [client.get(address) for address in ("/backtests/", "/logout", "/admin/live")]
    for page in pages:
        assert not _INLINE.search(text(page)), page.request["PATH_INFO"]
        assert len(page.content) < 50_000


# The dashboard -----------------------------------------------------------------------------------


def test_what_needs_a_person_stands_first_and_leads_to_the_list(admin_client):
    all_kinds()
    dead(3)
    page = text(admin_client.get("/admin/"))
    assert "3 dead runs" in page
    assert page.index('href="/admin/tasks/taskrun/?state=dead"') < page.index('id="card-runs"')
    assert _CARD.findall(page) == [area.name for area in cards._AREAS]
    assert "not known" not in page
    # What the admin has besides is still there.
    assert 'href="/admin/auth/user/"' in page
    for url in set(re.findall(r'href="(/admin/[^"]*)"', page[: page.index("all-areas")])):
        assert admin_client.get(url.replace("&amp;", "&")).status_code == 200, url


def test_the_dashboard_takes_few_queries(admin_client, monkeypatch):
    dead(2)
    waiting(2)
    admin_client.get("/admin/")
    # Counting new events takes some more, every five seconds at most.
    monkeypatch.setattr(snapshot.tally, "catch_up", lambda **_: 0)
    anew()
    with CaptureQueriesContext(connection) as captured:
        admin_client.get("/admin/")
    assert len(captured) <= 15, [one["sql"][:90] for one in captured]
    with CaptureQueriesContext(connection) as captured:
        admin_client.get("/admin/live")
    assert len(captured) <= 2


def test_staff_see_the_cards_and_needs_that_their_permissions_are_for(client, staff):
    dead()
    client.force_login(staff)
    page = text(client.get("/admin/"))
    assert not _CARD.findall(page)
    assert "1 dead run" not in page
    assert "no permission for any area" in page
    client.force_login(permitted(type(staff).objects.get(pk=staff.pk), "tasks.view_taskrun"))
    page = text(client.get("/admin/live"))
    assert _CARD.findall(page) == ["runs", "queues", "dead"]
    assert "1 dead run" in page
    assert "no worker alive" not in page
    client.force_login(permitted(type(staff).objects.get(pk=staff.pk), "audit.view_entry"))
    page = text(client.get("/admin/live"))
    assert "sound" in page
    assert "audit/verification" not in page


def test_who_may_change_what_an_area_is_about_sees_it_as_on_its_pages(client, staff):
    dead()
    client.force_login(permitted(staff, "tasks.change_taskrun"))
    page = text(client.get("/admin/live"))
    assert _CARD.findall(page) == ["runs", "queues", "dead"]
    assert "1 dead run" in page
    assert client.get("/admin/tasks/taskrun/").status_code == 200


def test_only_staff_get_the_part_that_changes_and_not_twice(client, admin_client, new_user):
    client.force_login(new_user())
    assert client.get("/admin/live").status_code == 302
    assert Client().get("/admin/live").status_code == 302
    first = admin_client.get("/admin/live")
    assert text(first).count("<html") == 0
    again = admin_client.get("/admin/live", headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    weak = admin_client.get("/admin/live", headers={"If-None-Match": f"W/{first['ETag']}"})
    assert weak.status_code == 304
    # Or no browser would ever have it.
    assert "no-store" not in first["Cache-Control"]


def test_an_area_that_is_not_known_says_why(admin_client, redis_away):
    page = text(admin_client.get("/admin/live"))
    assert page.count("not known: Redis does not answer") == 2
    assert 'id="card-queues"' in page


# The indexes -------------------------------------------------------------------------------------


def test_charts_are_listed_searched_and_come_in_pages(client, monkeypatch):
    monkeypatch.setattr(chart_index, "_PAGE", 2)
    for symbol in ("AAA/USDT", "BBB/USDT", "CCC/USDT"):
        instrument(symbol, followed=True)
    instrument("DDD/EUR")
    page = text(client.get("/charts/"))
    assert "3 followed instruments" in page
    assert "AAA/USDT" in page
    assert "CCC/USDT" not in page
    assert "DDD/EUR" not in page
    assert "CCC/USDT" in text(client.get("/charts/", {"page": "2"}))
    assert "DDD/EUR" in text(client.get("/charts/", {"q": "eur"}))
    assert "DDD/EUR" in text(client.get("/charts/", {"q": "binance:ddd"}))
    nothing = text(client.get("/charts/", {"q": "<b>\0"}))
    assert "Nothing found" in nothing
    assert "<b>" not in nothing


def test_reports_are_ones_own_and_two_can_be_compared(client, new_user, staff):
    assert client.get("/backtests/").url == "/login?next=/backtests/"
    mine, others = new_user(), new_user()
    for owner, title in ((mine, "mine"), (others, "theirs"), (staff, "of staff")):
        _backtest(owner, title)
    client.force_login(mine)
    page = text(client.get("/backtests/"))
    assert "mine" in page
    assert "theirs" not in page
    client.force_login(staff)
    assert "theirs" not in text(client.get("/backtests/"))
    assert "Choose two or more" in text(client.get("/backtests/", {"compare": "a"}))
    assert client.get("/backtests/", {"compare": ["a", "b"]}).url == "/backtests/compare?ids=a%2Cb"


def _backtest(owner, title: str) -> None:
    Backtest.objects.create(
        owner=owner, title=title, instruments=["binance:BTC/USDT"], timeframe="1h", strategy="ma_cross",
        start=datetime(2024, 1, 1, tzinfo=UTC), end=datetime(2024, 2, 1, tzinfo=UTC),
        spec={"strategy": {"name": "ma_cross"}}, spec_hash="", request_hash="",
    )  # fmt: skip


# Signing in --------------------------------------------------------------------------------------


def test_people_sign_in_and_out_and_go_where_they_wanted(client, new_user):
    new_user("eve")
    given = {"username": "eve", "password": "secret", "next": "/backtests/"}
    wrong = text(client.post("/login", {**given, "password": "no"}))
    assert 'role="alert"' in wrong
    assert 'value="eve"' in wrong
    assert client.post("/login", given).url == "/backtests/"
    assert "eve" in text(client.get("/"))
    assert "eve" in text(client.get("/logout"))
    assert "_auth_user_id" in client.session
    assert client.post("/logout").url == "/"
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere(client, new_user, address):
    new_user("eve")
    given = {"username": "eve", "password": "secret", "next": address}
    assert client.post("/login", given).url == reverse("landing")


def test_guessing_passwords_is_limited_as_at_the_other_doors(settings):
    [group] = [one for one in settings.RATELIMITS_GROUPS if one["name"] == "login"]
    assert "sign-in" in group["routes"]
