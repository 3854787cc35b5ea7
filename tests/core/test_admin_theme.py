"""The admin's pages in a real browser: light and dark, wide and narrow, under the policy that they have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser import Visit, beside, needs_chromium, visiting
from tests.tasks.operating import dead, running, succeeded, waiting

pytestmark = [needs_chromium, pytest.mark.usefixtures("committed")]

BOARD = reverse("admin:tasks_taskrun_changelist")
PAGES = (
    reverse("admin:index"),
    BOARD,
    reverse("admin:tasks_taskrun_queues"),
    reverse("admin:tasks_periodictask_add"),
    reverse("admin:liveness_workersession_now"),
    reverse("admin:candles_instrument_store"),
    reverse("admin:ratelimits_policychange_changelist"),
    reverse("admin:auth_user_changelist"),
    reverse("admin:audit_entry_changelist"),
)
#: Of each badge with text: its contrast by WCAG 2, with what the colours are on a canvas.
CONTRASTS = """() => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const luminance = (colour) => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return [...document.querySelectorAll(".badge")].map((badge) => {
    const {color, backgroundColor} = getComputedStyle(badge);
    const [light, dark] = [color, backgroundColor].map(luminance).sort((a, b) => b - a);
    return [badge.textContent, (light + 0.05) / (dark + 0.05)];
  });
}"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture
def visits(live_server: Any, admin_user: Any) -> Callable[..., AbstractContextManager[Visit]]:
    """Makes pages of an administrator who is signed in."""
    client = Client()
    client.force_login(admin_user)
    name = settings.SESSION_COOKIE_NAME
    cookie = {"name": name, "value": client.cookies[name].value, "url": live_server.url}

    @contextmanager
    def visit(**options: Any) -> Iterator[Visit]:
        with visiting(live_server.url, **options) as found:
            found.page.context.add_cookies([cookie])
            yield found

    return visit


def narrow(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})


def test_pages_are_sound_light_and_dark_wide_and_narrow(visits):
    for make in (dead, succeeded, waiting, running):
        make()
    for scheme in ("light", "dark"):
        with visits(color_scheme=scheme, viewport={"width": 1280, "height": 800}) as visit:
            for address in PAGES:
                visit.page.goto(address)
                for width in (1280, 390):
                    narrow(visit.page, width)
                    assert visit.page.evaluate(OVERFLOW) <= 0, (address, width)
                if address == BOARD:
                    contrasts = visit.page.evaluate(CONTRASTS)
                    assert {name for name, _ in contrasts} == {"dead", "succeeded", "scheduled", "running"}
                    assert [one for one in contrasts if one[1] < 4.5] == []
            assert visit.errors == []


def test_the_reader_chooses_the_scheme_and_it_is_kept(visits):
    with visits(color_scheme="light", viewport={"width": 1280, "height": 800}) as visit:
        page = visit.page
        page.goto(BOARD)
        before = page.evaluate(GROUND)
        page.locator("#user-tools .theme-toggle").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        dark = page.evaluate(GROUND)
        assert dark != before
        page.goto(PAGES[2])
        assert page.evaluate(GROUND) == dark
        assert visit.errors == []


def test_the_navigation_is_filtered_put_away_and_opened_on_a_phone(visits):
    with visits(viewport={"width": 1280, "height": 800}) as visit:
        page = visit.page
        page.goto(BOARD)
        expect(page.locator("#sidebar [aria-current=page]")).to_have_text("Task board")
        page.get_by_label("Filter the navigation").fill("quar")
        expect(page.locator("#sidebar li a:visible")).to_have_text(["Quarantine"])
        page.keyboard.press("Escape")
        assert page.locator("#sidebar li a:visible").count() > 20
        page.get_by_label("Filter the navigation").fill("queues")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(f"{PAGES[2]}$"))
        button = page.locator("#sidebar-switch")
        button.click()
        expect(page.locator("#sidebar")).to_be_hidden()
        page.reload()
        expect(page.locator("#sidebar")).to_be_hidden()
        button.click()
        expect(page.locator("#sidebar")).to_be_visible()
        narrow(page, 390)
        page.reload()
        expect(page.locator("#sidebar")).to_be_hidden()
        button.click()
        page.get_by_role("link", name="Task board").click()
        expect(page).to_have_url(re.compile(f"{BOARD}$"))
        assert visit.errors == []


def test_a_list_is_filtered_and_acted_upon_and_a_menu_closes(visits):
    (run,) = dead()
    succeeded()
    with visits(viewport={"width": 1280, "height": 800}) as visit:
        page = visit.page
        page.goto(BOARD)
        page.locator("#changelist-filter summary", has_text="State").click()
        expect(page.get_by_role("link", name="dead", exact=True)).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("link", name="dead", exact=True)).to_be_hidden()
        page.locator("#changelist-filter summary", has_text="State").click()
        page.get_by_role("link", name="dead", exact=True).click()
        expect(page.locator("#result_list tbody tr")).to_have_count(1)
        expect(page.locator("#changelist-filter .chosen summary")).to_have_text("Statedead")
        page.locator("#action-toggle").check()
        page.locator("select[name=action]").select_option("redrive")
        page.get_by_role("button", name="Go", exact=True).click()
        page.get_by_role("button", name="Redrive: 1 run").click()
        expect(page.locator(".messagelist")).to_contain_text("Redrive: 1 run done.")
        beside(run.refresh_from_db)
        assert run.state == "scheduled"
        assert visit.errors == []
