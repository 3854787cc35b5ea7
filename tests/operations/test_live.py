"""The landing page and the dashboard in a browser: they follow what happens, and say nothing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import expect

from apps.operations import conf
from tests.browser import Visit, beside, needs_chromium, visiting
from tests.candles.helpers import instrument
from tests.operations.helpers import all_kinds, process
from tests.tasks.operating import dead

pytestmark = [needs_chromium, pytest.mark.usefixtures("committed", "own_queues")]


@pytest.fixture
def session(admin_user: Any) -> str:
    client = Client()
    client.force_login(admin_user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture(params=["light", "dark"])
def visit(request: Any, session: str, live_server: Any, monkeypatch: Any) -> Iterator[Visit]:
    monkeypatch.setattr(conf, "REFRESH", 0.3)
    all_kinds()
    instrument("BTC/USDT", followed=True)
    size = {"width": 390, "height": 844} if request.param == "dark" else {"width": 1440, "height": 900}
    with visiting(live_server.url, color_scheme=request.param, viewport=size) as visit:
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}
        visit.page.context.add_cookies([cookie])
        yield visit


def test_pages_follow_what_happens_without_being_loaded_again(visit):
    page = visit.page
    page.goto("/admin/")
    number = page.locator("#card-dead .number")
    expect(number).to_have_text("0")
    page.evaluate("window.same = true")
    beside(lambda: dead(2))
    expect(number).to_have_text("2")
    expect(page.locator(".needs")).to_contain_text("2 dead runs")
    # Read out, unlike what changes every few seconds.
    expect(page.locator("#news")).to_have_text("2 things need you")
    expect(page.locator("#freshness")).to_have_attribute("aria-live", "off")
    assert page.evaluate("window.same")

    page.goto("/")
    expect(page.locator("[data-overall]")).to_have_text("operational")
    beside(lambda: process("worker", name="second"))
    expect(page.locator('[data-state-of="Workers"]')).to_contain_text("2 alive")
    # Nobody has to scroll sideways.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert visit.errors == []
    assert all(url.startswith((page.url, "data:")) for url in visit.requests)

    # The server is gone: that is said, and what is shown is not taken for the present.
    page.route("**/status.json", lambda route: route.abort())
    expect(page.locator("#freshness")).to_contain_text("out of date since")
    expect(page.locator("#freshness")).to_have_attribute("aria-live", "polite")
    page.unroute("**/status.json")
    expect(page.locator("#freshness")).to_contain_text("as of")
