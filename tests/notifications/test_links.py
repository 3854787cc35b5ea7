"""Links lead somewhere: to this installation, and to what whom a mail is for may open."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from apps.core import conf
from apps.notifications.kinds import all_kinds, kind_of
from apps.notifications.links import links_to
from apps.notifications.models import Email
from apps.notifications.plain import plain
from apps.notifications.rendering import render
from apps.notifications.services import email_request, email_resend
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending

pytestmark = pytest.mark.django_db

WRONG = (
    "", "chandlery.example", "127.0.0.1:8000", "//chandlery.example", "http://", "https:///x",
    "ftp://chandlery.example", "http://a b", "http://[::1", "http://x:port", 'http://x"y', "http://x/?y=1",
)  # fmt: skip
RIGHT = (
    "http://127.0.0.1:8000",
    "https://chandlery.example/",
    "https://chandlery.example:8443/app",
    "http://[::1]",
)


def test_a_public_url_that_is_no_address_is_found_by_check(settings: Any):
    for url in WRONG:
        settings.PUBLIC_URL = url
        assert "http:// or https://" in conf.public_url_fault(), url
    with pytest.raises(SystemCheckError, match=r"core\.E001"):
        call_command("check")
    for url in RIGHT:
        settings.PUBLIC_URL = url
        assert conf.public_url_fault() == "", url


def test_a_public_url_that_is_no_address_stops_the_mail_alone_and_once_mended_it_is_sent(settings: Any):
    settings.PUBLIC_URL = "chandlery.example"
    anna = User.objects.create_user("anna", "anna@example.com")
    sample = {**kind_of("backtest_finished").sample, "url": "/backtests/1"}
    email = email_request(kind="backtest_finished", user=anna, about="backtest:1", context=sample)
    assert email is not None
    assert email.state == "requested"
    run_pending()
    email.refresh_from_db()
    assert email.state == "refused"
    assert "PUBLIC_URL has to be an address" in email.reason
    assert TaskRun.objects.get(pk=email.task_run).state == "dead"
    settings.PUBLIC_URL = "https://chandlery.example/app/"
    email_resend(email=email)
    run_pending()
    (message,) = mail.outbox
    assert "https://chandlery.example/app/backtests/1\n" in message.body


def test_who_may_open_the_page_gets_a_link_and_others_what_to_ask_the_api_for():
    row = Email.objects.create(kind="orphans", recipient="o@example.com", about="o:1")
    page, api = f"/admin/notifications/email/{row.pk}/change/", "/api/v1/x"
    user = User.objects.create_user("anna")
    for fields, permissions, url in (
        ({}, [], ""),
        ({}, ["view_email"], ""),
        ({"is_staff": True}, [], ""),
        ({"is_staff": True}, ["view_email"], page),
        ({"is_staff": True}, ["change_email"], page),
        ({"is_staff": True, "is_superuser": True}, [], page),
        ({"is_staff": True, "is_superuser": True, "is_active": False}, [], ""),
    ):
        User.objects.filter(pk=user.pk).update(
            **{"is_staff": False, "is_superuser": False, "is_active": True, **fields}
        )
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        found = links_to(row, user=User.objects.get(pk=user.pk), api=api)
        assert found == {"url": url, "api": api}, (fields, permissions)


def test_mails_have_a_button_or_words_in_its_place(settings: Any):
    settings.PUBLIC_URL = "https://chandlery.example"
    with_api = [kind for kind in all_kinds() if "api" in kind.fields]
    assert len(with_api) == 6
    for kind in with_api:
        given = plain(kind.sample)
        given.pop("held_back", None)
        words = f"GET {given['api']}"
        for url in ("", "/admin/x/"):
            made = render(kind, {**given, "url": url})
            said, linked = not url, bool(url)
            assert (words in made.body, words in made.html) == (said, said), kind.name
            assert ("https://chandlery.example/admin/x/" in made.body) is linked
            assert ('class="button" href="https://chandlery.example/admin/x/"' in made.html) is linked
            assert ('class="button"' in made.html) is linked


def test_the_paths_of_samples_are_those_of_the_api(client: Any):
    from django.urls import resolve

    for kind in all_kinds():
        if "api" in kind.fields:
            match = resolve(kind.sample["api"])
            assert all(isinstance(value, uuid.UUID) for value in match.kwargs.values())


def test_mails_about_trading_say_whether_it_was_for_real():
    kinds = [kind for kind in all_kinds() if "simulation" in kind.fields]
    assert {kind.name for kind in kinds} == {
        "verification_needed", "order_rejected", "order_needs_review", "daily_limit",
    }  # fmt: skip
    for kind in kinds:
        for simulation, short, long in ((True, "(paper)", "on paper"), (False, "(real)", "for real")):
            made = render(kind, plain({**kind.sample, "simulation": simulation}))
            assert short in made.subject
            assert f"Traded: {long}" in made.body
            assert long in made.html
