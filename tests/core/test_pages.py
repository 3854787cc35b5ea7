"""Pages in a real browser: none breaks the policy that it comes with."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from playwright.sync_api import expect

from apps.notifications.kinds import all_kinds
from apps.notifications.models import Email
from apps.notifications.services import email_test
from apps.notifications.unsubscribing import unsubscribe_url
from tests.browser import Visit, beside, needs_chromium, visiting

pytestmark = needs_chromium

#: Pages of the admin: Django's own lists and forms, those with widgets of dates and choices, and ours.
PAGES = (
    "/admin/",
    "/admin/auth/user/",
    "/admin/auth/group/add/",
    "/admin/password_change/",
    "/admin/tasks/taskrun/",
    "/admin/tasks/taskrun/queues/",
    "/admin/ratelimits/policychange/",
    "/admin/ratelimits/addressrule/add/",
    "/admin/liveness/workersession/now/",
    "/admin/notifications/email/templates/",
    "/admin/audit/entry/",
)


@pytest.fixture
def staff(committed: None, own_queues: str) -> Any:
    return get_user_model().objects.create_superuser("anna", "anna@example.com", "secret")


def reports(visit: Visit) -> list[str]:
    """What went wrong, but for answers that are meant to be errors."""
    return [error for error in visit.errors if "status of 404" not in error]


def test_no_page_breaks_its_policy(staff: Any, live_server: Any) -> None:
    kind = next(kind for kind in all_kinds() if kind.changeable)
    email_test(kind=kind.name, recipient=staff.email)
    mail = f"/admin/notifications/email/{Email.objects.get().pk}/change/"
    user = f"/admin/auth/user/{staff.pk}/change/"
    unsubscribe = "/" + unsubscribe_url(user_id=staff.pk, kind=kind).split("/", 3)[3]
    template = f"/admin/notifications/email/templates/{kind.name}/"
    with visiting(live_server.url) as visit:
        page = visit.page
        page.goto("/admin/login/")
        page.fill("#id_username", "anna")
        page.fill("#id_password", "secret")
        page.click("[type=submit]")
        page.wait_for_url("**/admin/")
        for address in (*PAGES, user.replace("change", "delete"), template, unsubscribe, "/nothing-here"):
            page.goto(address)
            assert reports(visit) == [], address
        # What a mail is styled with, inside it, is drawn.
        page.goto(mail)
        light, dark = (page.frame_locator(f"iframe.mail-{scheme}") for scheme in ("light", "dark"))
        expect(light.locator("h1")).to_have_css("font-size", "20px")
        expect(light.locator("body")).to_have_css("background-color", "rgb(243, 245, 247)")
        expect(dark.locator("body")).not_to_have_css("background-color", "rgb(243, 245, 247)")
        # Django's calendar is drawn by a script.
        page.goto(user)
        page.locator(".datetimeshortcuts a").nth(1).click()
        expect(page.locator(".calendarbox").first).to_be_visible()
        assert reports(visit) == []


def test_the_documentation_of_the_api_has_nothing_inside_its_page(staff: Any, live_server: Any) -> None:
    with visiting(live_server.url) as visit:
        visit.page.goto("/api/docs")
        visit.page.locator(".opblock-summary").first.click()
        expect(visit.page.locator(".opblock-body").first).to_be_visible()
        assert reports(visit) == []
        assert b"<style" not in beside(lambda: Client().get("/api/docs").content)
