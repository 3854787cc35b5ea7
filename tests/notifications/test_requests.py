"""Who is told, how often, and what a request has to bring."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connection, connections, transaction

from apps.notifications.addresses import address_suppress, suppression_lift
from apps.notifications.kinds import kind_of
from apps.notifications.models import Email, Preference, SuppressedAddress, Throttle
from apps.notifications.preferences import preferences_set
from apps.notifications.services import email_request
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending
from tests.support import wait_until

ATTACK = kind_of("webhook_attack").sample


@pytest.fixture
def anna(db: None) -> Any:
    return get_user_model()._default_manager.create_user("anna", "anna@example.com", "x")


def attacked(user: Any, number: int, *, key: str = "e1:secret_wrong", **changes: Any) -> Email | None:
    return email_request(
        kind="webhook_attack",
        user=user,
        about=f"delivery:{number}",
        context={**{name: value for name, value in ATTACK.items() if name != "held_back"}, **changes},
        throttle_key=key,
    )


def let_time_pass(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_throttle SET opened_at = opened_at - %s * interval '1 s'", [seconds]
        )


def test_one_mail_in_the_time_and_the_next_tells_how_many_were_held_back(anna):
    first = attacked(anna, 1)
    assert first is not None
    assert [attacked(anna, number) for number in (2, 3, 4)] == [None] * 3
    assert attacked(anna, 1) == first, "asked for about the same, it is the same"
    let_time_pass(880)
    assert attacked(anna, 5) is None
    let_time_pass(40)
    second = attacked(anna, 6)
    assert second is not None
    run_pending()
    assert [message.to for message in mail.outbox] == [["anna@example.com"]] * 2
    assert "held back" not in mail.outbox[0].body
    assert "4 more like this were held back since the last mail." in mail.outbox[1].body
    assert "4 more like this were held back since the last mail." in mail.outbox[1].alternatives[0].content
    let_time_pass(1000)
    third = attacked(anna, 7)
    assert third is not None
    assert [email.held_back for email in (first, second, third)] == [0, 4, 0]
    throttle = Throttle.objects.get()
    assert (throttle.email_id, throttle.held_back, throttle.told) == (third.pk, 0, 0)


def test_a_clock_that_was_ahead_holds_nothing_back_for_as_long(anna):
    assert attacked(anna, 1) is not None
    let_time_pass(-600)
    assert attacked(anna, 2) is None, "clocks differ by seconds, and so do transactions"
    let_time_pass(-365 * 86_400)
    again = attacked(anna, 3)
    assert again is not None
    assert again.held_back == 1
    assert attacked(anna, 4) is None


def test_other_keys_and_people_have_mails_of_their_own(anna):
    bert = get_user_model()._default_manager.create_user("bert", "bert@example.com", "x")
    asked = [
        attacked(anna, 1),
        attacked(anna, 2, key="e1:replay_conflict"),
        attacked(anna, 3, key="e2:secret_wrong"),
        attacked(bert, 4),
    ]
    assert all(asked)
    assert attacked(bert, 5) is None


def test_what_a_caller_counted_itself_is_told_with_what_was_held_back(anna):
    first = attacked(anna, 1, held_back=2)
    assert first is not None
    assert first.held_back == 2
    assert attacked(anna, 2, held_back=5) is None
    let_time_pass(901)
    second = attacked(anna, 3, held_back=1)
    assert second is not None
    assert second.held_back == 7
    assert "7 more like this were" in second.body
    for wrong in (-1, "3", True, None):
        with pytest.raises(ValueError, match="held_back is a count"):
            attacked(anna, 4, held_back=wrong)


def test_a_mail_of_a_rolled_back_transaction_holds_nothing_back(anna):
    with pytest.raises(RuntimeError), transaction.atomic():
        attacked(anna, 1)
        raise RuntimeError
    assert attacked(anna, 2) is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("committed")
def test_of_several_at_once_one_is_sent_and_the_others_are_counted():
    user = get_user_model()._default_manager.create_user("anna", "anna@example.com", "x")
    barrier, results = threading.Barrier(4), list[Any]()

    def ask(number: int) -> None:
        try:
            barrier.wait()
            results.append(attacked(user, number))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (sent,) = [one for one in results if one is not None]
    assert Email.objects.get() == sent
    assert Throttle.objects.get().held_back == 3


def test_what_a_user_has_turned_off_leaves_a_trace_and_is_not_sent(anna):
    preferences_set(
        user_id=anna.pk,
        enabled={"webhook_attack": False, "order_rejected": False, "backtest_finished": True},
        source=Preference.Source.API,
    )
    for kind in ("webhook_attack", "order_rejected", "backtest_finished", "order_needs_review"):
        email_request(kind=kind, user=anna, about="x:1", context=kind_of(kind).sample, throttle_key="k")
    # Of a kind with a throttle one trace is enough, too.
    assert attacked(anna, 2, key="k") is None
    run_pending()
    assert {email.kind: (email.state, email.reason) for email in Email.objects.all()} == {
        "webhook_attack": ("suppressed", "turned off by the user"),
        "order_rejected": ("suppressed", "turned off by the user"),
        "backtest_finished": ("sent", ""),
        "order_needs_review": ("sent", ""),
    }
    assert TaskRun.objects.count() == len(mail.outbox) == 2
    trace = Email.objects.get(kind="order_rejected")
    assert trace.task_run is None
    assert trace.subject.startswith("Order rejected")
    # An address that operators named is not a user's.
    assert email_request(
        kind="order_rejected",
        recipient="anna@example.com",
        about="x:2",
        context=kind_of("order_rejected").sample,
    )
    assert len(run_pending()) == 1


def test_what_is_not_sent_does_not_hold_back_what_is(anna):
    preferences_set(user_id=anna.pk, enabled={"webhook_attack": False}, source=Preference.Source.API)
    assert attacked(anna, 1).state == "suppressed"
    preferences_set(user_id=anna.pk, enabled={"webhook_attack": True}, source=Preference.Source.API)
    assert attacked(anna, 2).state == "requested"
    bert = get_user_model()._default_manager.create_user("bert", "bert@example.com", "x")
    address_suppress(address="bert@example.com", reason="gone")
    assert attacked(bert, 3).state == "suppressed"
    assert attacked(bert, 4) is None
    suppression_lift(suppression=SuppressedAddress.objects.get(), actor="user:1")
    assert attacked(bert, 5).state == "requested"
    assert not Throttle.objects.exclude(held_back=0).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("committed")
def test_two_requests_about_the_same_at_once_are_one_mail_and_none_is_held_back():
    user = get_user_model()._default_manager.create_user("anna", "anna@example.com", "x")
    results = list[Any]()

    def ask() -> None:
        try:
            results.append(attacked(user, 1))
        finally:
            connections.close_all()

    def waits() -> bool:
        with connection.cursor() as cursor:
            # Within a transaction the first look would be kept.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(cursor.fetchone()[0])

    second = threading.Thread(target=ask)
    with transaction.atomic():
        first = attacked(user, 1)
        second.start()
        wait_until(waits, what="the second request", every=0.01)
    second.join()
    assert results == [first]
    assert Throttle.objects.get().held_back == 0


def test_who_cannot_be_told_is_not(anna):
    sample = kind_of("daily_limit").sample
    for fields in ({"email": ""}, {"is_active": False}):
        for name, value in {"email": "anna@example.com", "is_active": True, **fields}.items():
            setattr(anna, name, value)
        assert (
            email_request(kind="daily_limit", user=anna, about="account:1:2026-03-02", context=sample) is None
        )
    assert not Email.objects.exists()


def test_a_request_that_cannot_work_is_refused_in_words(anna):
    sample = dict(kind_of("daily_limit").sample)
    for wrong, said in (
        ({"kind": "nonsense"}, "there is no kind of mail 'nonsense'"),
        (
            {"context": {name: sample[name] for name in ("account", "day", "url")}},
            "lacks limit, plan, simulation, api",
        ),
        ({"context": {**sample, "colour": "red"}}, "has no colour"),
        ({"context": {**sample, "held_back": 3}}, "has no held_back"),
        ({"context": {**sample, "plan": object()}}, "JSON values only"),
        ({"context": {**sample, "limit": float("nan")}}, "JSON values only"),
        ({"context": {**sample, "url": "javascript:x"}}, "not an address"),
        ({"user": None}, "either for a user or for the recipient"),
        ({"recipient": "ops@example.com"}, "either for a user or for the recipient"),
        ({"throttle_key": "k" * 201}, "at most 200 characters"),
    ):
        given = {"kind": "daily_limit", "user": anna, "about": "a:1", "context": sample, **wrong}
        with pytest.raises((ValueError, LookupError), match=said):
            email_request(**given)
    assert not Email.objects.exists()
