"""Signals from the request to the run that acts on them, and what senders are told."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from itertools import product
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core.database import execute
from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.orders.models import Account, DailyUse
from apps.tasks.testing import assert_requested, entries, requested
from apps.webhooks.masking import TokenFilter
from apps.webhooks.models import Endpoint, Receipt
from apps.webhooks.tasks import log_delivery
from tests.candles.helpers import instrument
from tests.webhooks.helpers import ABSENT, ACT, Sender, account_of, logged, now, problem, sender_of, user_of

pytestmark = pytest.mark.django_db


def test_a_signal_is_accepted_and_a_run_acts_on_it(sender: Sender, market, client):
    answer = sender.send(client, sender.signal("long_entry", price="2500.5"), query="?simulation=false")
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert told == {
        "delivery": told["delivery"],
        "order": told["order"],
        "status": "accepted",
        "simulation": False,
    }
    account = str(sender.endpoint.account_id)
    (run,) = assert_requested(
        ACT,
        kwargs={
            "account_id": account,
            "instrument_id": market.pk,
            "signal": "long_entry",
            "quantity": "0.5",
            "price": "2500.5",
            "simulation": False,
            "order_id": told["order"],
            "source_id": told["delivery"],
        },
        count=1,
        queue="orders.fifo",
        group_key=f"signals:{account}:{market.pk}:real",
    )
    assert run.meta["actor"] == f"webhook:{sender.endpoint.pk}"
    received = datetime.fromisoformat(run.kwargs["received_at"])
    assert abs(datetime.now(UTC) - received) < timedelta(minutes=1)
    receipt = Receipt.objects.get()
    assert (receipt.endpoint_id, str(receipt.order_id), receipt.answer) == (
        sender.endpoint.pk,
        told["order"],
        told,
    )
    use = DailyUse.objects.get()
    assert (use.orders, use.simulation) == (1, False)
    (put,) = logged()
    assert (put["outcome"], put["order_id"]) == ("accepted", told["order"])
    assert put["request_id"] == answer["X-Request-ID"]
    assert [str(entry.pk) for entry in entries(log_delivery)] == [told["delivery"]]
    assert put["body"]["secret"] == "***"
    assert sender.secret not in json.dumps(put)


def test_the_same_again_gets_the_same_answer_and_nothing_else_happens(sender: Sender, client):
    body = json.dumps(sender.signal())
    first, second = (sender.send(client, body) for _ in range(2))
    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert (first.headers.get("X-Replayed"), second["X-Replayed"]) == (None, "true")
    # Written otherwise it is the same, too; and an answer is given although no order is left today.
    Account.objects.update(daily_limit=1)
    fields = json.loads(body)
    third = sender.send(client, "\n".join(f"{name}: {value}" for name, value in fields.items()))
    assert third.json() == first.json()
    assert len(requested(ACT)) == 1
    assert [put["outcome"] for put in logged()] == ["accepted", "duplicate", "duplicate"]
    assert {put["order_id"] for put in logged()} == {first.json()["order"]}
    assert DailyUse.objects.get().orders == 1


def test_a_key_is_for_one_signal_of_one_endpoint(sender: Sender, client):
    signal = sender.signal(id="k-1")
    assert sender.send(client, signal).status_code == 202
    problem(sender.send(client, {**signal, "quantity": "5"}), 409, "webhook-replay")
    # On paper no secret may be needed: nobody can use up there what is sent for real.
    for status in (202, 202):
        assert sender.send(client, signal, query="?simulation=false").status_code == status
    other = sender_of(sender.endpoint.account, "other")
    assert other.send(client, {**signal, "secret": other.secret}).status_code == 202
    header = {"headers": {"Idempotency-Key": "k-2"}}
    assert sender.send(client, sender.signal(), **header).status_code == 202
    problem(sender.send(client, sender.signal(quantity="9"), **header), 409, "webhook-replay")
    assert len(requested(ACT)) == 4


def test_every_layer_answers_with_a_problem_of_its_own(sender: Sender, client):
    endpoints, users = Endpoint.objects, get_user_model().objects
    old = (datetime.now(UTC) - timedelta(minutes=11)).isoformat()
    ahead = (datetime.now(UTC) + timedelta(minutes=11)).isoformat()
    assert problem(sender.send(client, sender.signal(), token="nobody"), 404, "not-found")["detail"] == (
        "There is nothing at this address."
    )
    # Strangers learn nothing of what is wrong with a body.
    problem(sender.send(client, "{", token="nobody"), 404, "not-found")
    for off, on, kind in (
        (lambda: endpoints.update(enabled=False), lambda: endpoints.update(enabled=True), "webhook-disabled"),
        (lambda: users.update(is_active=False), lambda: users.update(is_active=True), "webhook-disabled"),
        (
            lambda: Account.objects.update(enabled=False),
            lambda: Account.objects.update(enabled=True),
            "webhook-disabled",
        ),
        (
            lambda: endpoints.update(allowed_addresses=["tradingview"]),
            lambda: endpoints.update(allowed_addresses=["127.0.0.0/8"]),
            "webhook-address",
        ),
    ):
        off()
        # Also before the body is looked at.
        problem(sender.send(client, "nonsense"), 403, kind)
        on()
    body = problem(sender.send(client, sender.signal(quantity="none")), 400, "invalid-request")
    assert [error["field"] for error in body["errors"]] == ["quantity"]
    problem(sender.send(client, "what?"), 400, "malformed-body")
    problem(sender.send(client, "x" * 16_385), 413, "content-too-large")
    for when in (old, ahead):
        problem(sender.send(client, sender.signal(timestamp=when, secret="wrong")), 401, "webhook-expired")
    problem(sender.send(client, sender.signal(secret="wrong", symbol="NO/SUCH")), 401, "webhook-secret")
    problem(sender.send(client, sender.signal(secret=ABSENT)), 401, "webhook-secret")
    body = problem(sender.send(client, sender.signal(symbol="NO/SUCH")), 400, "invalid-request")
    assert [error["field"] for error in body["errors"]] == ["symbol"]
    Account.objects.update(plan="basic")
    problem(sender.send(client, sender.signal(), query="?simulation=false"), 403, "webhook-plan")
    Account.objects.update(plan="pro", daily_limit=0)
    refused = sender.send(client, sender.signal())
    problem(refused, 429, "daily-limit")
    assert 0 < int(refused["Retry-After"]) <= 86_400
    assert not requested()
    assert not Receipt.objects.exists()
    assert [put["code"] for put in logged()] == [
        "unknown_token", "unknown_token", "endpoint_disabled", "user_disabled", "account_disabled",
        "address_blocked", "invalid", "malformed", "too_large", "expired", "ahead", "secret_wrong",
        "secret_missing", "unknown_symbol", "simulation_only", "daily_limit",
    ]  # fmt: skip


def test_only_post_is_taken_and_nothing_of_it_needs_a_session_or_a_csrf_token(sender: Sender, client):
    for method in ("get", "put", "delete", "patch"):
        response = getattr(client, method)(f"/webhooks/tradingview/{sender.token}")
        assert (response.status_code, response["Allow"]) == (405, "POST")
        assert response.json()["type"] == "/problems/method-not-allowed"
    strict = type(client)(enforce_csrf_checks=True)
    with CaptureQueriesContext(connection) as queries:
        assert sender.send(strict, sender.signal()).status_code == 202
    assert not [query for query in queries if "django_session" in query["sql"]]
    assert client.post(f"/webhooks/carrier-pigeon/{sender.token}").status_code == 404


def test_exits_are_never_over_the_limit_and_need_no_quantity(sender: Sender, client):
    Account.objects.update(daily_limit=1)
    assert sender.send(client, sender.signal("buy")).status_code == 202
    problem(sender.send(client, sender.signal("buy", id="2")), 429, "daily-limit")
    for number, signal in enumerate(("long_exit", "short_exit")):
        answer = sender.send(client, sender.signal(signal, quantity=ABSENT, id=f"exit-{number}"))
        assert answer.status_code == 202
    assert [run.kwargs["quantity"] for run in requested(ACT)] == ["0.5", None, None]
    assert DailyUse.objects.get().orders == 3


def test_paper_needs_no_timestamp_and_where_the_endpoint_says_so_no_secret(sender: Sender, client):
    loose = sender.signal(timestamp=ABSENT, secret=ABSENT)
    problem(sender.send(client, loose), 401, "webhook-secret")
    Endpoint.objects.update(require_secret=False)
    assert sender.send(client, loose).json()["simulation"] is True
    problem(sender.send(client, loose, query="?simulation=false"), 400, "invalid-request")
    stamped = {**loose, "timestamp": now()}
    problem(sender.send(client, stamped, query="?simulation=false"), 401, "webhook-secret")
    # An account that trades on paper only does so whatever is asked for, and the answer says it.
    Account.objects.update(simulation=True, plan="basic", api_key="")
    assert sender.send(client, stamped, query="?simulation=false").json()["simulation"] is True
    assert [run.kwargs["simulation"] for run in requested(ACT)] == [True, True]


def test_symbols_lead_to_the_instrument_that_is_meant(client, market):
    swap = instrument("BTC/USDT:USDT", exchange="bybit", venue_id="BTCUSDT", kind="swap")
    spot = instrument("BTC/USDT", exchange="bybit", venue_id="BTCUSDT")
    kraken = instrument("XBT/USD", exchange="kraken", venue_id="XXBTZUSD")
    instrument("OLD/USDT", exchange="bybit", venue_id="OLDUSDT", active=False)
    instrument("A/BUSDT", exchange="bybit", venue_id="ax")
    instrument("AB/USDT", exchange="bybit", venue_id="bx")
    user = user_of()
    names = ("binance", "bybit", "kraken")
    senders = {name: sender_of(account_of(user, name, exchange=name), name) for name in names}
    for exchange, symbol, expected in (
        ("binance", "BTC/USDT", market), ("binance", "btcusdt", market),
        ("binance", "BINANCE:BTCUSDT", market), ("binance", "BTCUSDT.P", None),
        ("binance", "BYBIT:BTCUSDT", None), ("binance", "ETHUSDT", None),
        ("bybit", "BTCUSDT", spot), ("bybit", "BTCUSDT.P", swap), ("bybit", "BYBIT:BTCUSDT.P", swap),
        ("bybit", "BTC/USDT:USDT", swap), ("bybit", "OLDUSDT", None), ("bybit", "ABUSDT", None),
        ("kraken", "KRAKEN:XBTUSD", kraken), ("kraken", "XXBTZUSD", kraken),
    ):  # fmt: skip
        for again in ("looked for", "remembered"):
            one = senders[exchange]
            answer = one.send(client, one.signal(symbol=symbol, id=str(uuid7())))
            assert answer.status_code == (202 if expected else 400), (exchange, symbol, again)
            if expected:
                assert requested(ACT)[-1].kwargs["instrument_id"] == expected.pk, (exchange, symbol, again)
    problem(senders["binance"].send(client, senders["binance"].signal(symbol="X.P")), 400, "invalid-request")


def test_nothing_is_kept_where_something_fails_on_the_way_and_it_may_be_sent_again(
    sender: Sender, client, monkeypatch, caplog
):
    signal = sender.signal(id="once")

    def fail(*_: Any) -> None:
        raise RuntimeError("nothing is requested today")

    with monkeypatch.context() as patch:
        patch.setattr("apps.webhooks.receiving.request", fail)
        answer = sender.send(client, signal)
    problem(answer, 503, "unavailable")
    assert answer["Retry-After"] == "5"
    assert not Receipt.objects.exists()
    assert not DailyUse.objects.exists()
    assert sender.token not in caplog.text
    answer = sender.send(client, signal)
    assert answer.status_code == 202
    assert "X-Replayed" not in answer
    outcomes = [(put["outcome"], put["code"], put["endpoint_id"]) for put in logged()]
    endpoint = str(sender.endpoint.pk)
    assert outcomes == [("failed", "unavailable", endpoint), ("accepted", "", endpoint)]
    assert len(requested(ACT)) == 1


def test_no_token_comes_into_the_servers_log(sender: Sender, client):
    """Neither by what is refused here, nor by what never comes here."""
    shown = StringIO()
    (console,) = (one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler)
    address = f"/webhooks/tradingview/{sender.token}"
    many = "&".join(f"a{number}=1" for number in range(2000))
    before = console.setStream(shown)
    # As Django's own handlers do, this one comes before ours.
    own = logging.StreamHandler(shown)
    logging.getLogger("django").addHandler(own)
    try:
        assert sender.send(client, "nonsense").status_code == 400
        assert sender.send(client, sender.signal(secret="wrong")).status_code == 401
        assert client.get(address).status_code == 405
        problem(sender.send(client, sender.signal(), query=f"?{many}"), 400, "malformed-body")
        assert client.post(f"{address}/").status_code == 404
        logging.getLogger("elsewhere").error("%s of %s", 500, f"http://localhost{address}?x")
        # Whoever logs nonsense goes on.
        assert TokenFilter().filter(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    finally:
        console.setStream(before)
        logging.getLogger("django").removeHandler(own)
    lines = shown.getvalue()
    assert "path=/webhooks/tradingview/***/ status=404" in lines
    assert "500 of http://localhost/webhooks/tradingview/***?x" in lines
    assert sender.token not in lines
    assert [put["code"] for put in logged()] == ["malformed", "secret_wrong", "malformed"]


def test_a_key_that_comes_meanwhile_is_answered(sender: Sender, client, monkeypatch):
    """The receipt of another request is committed between what is read and what is written."""
    from apps.webhooks import receiving

    signal = sender.signal(id="both")
    read, answers = receiving.facts_of, []

    def reading(**given: Any) -> Any:
        facts = read(**given)
        if not answers:
            answers.append(None)
            answers[0] = sender.send(client, signal)
        return facts

    monkeypatch.setattr(receiving, "facts_of", reading)
    second = sender.send(client, signal)
    assert answers[0] is not None
    assert second.json() == answers[0].json()
    assert second["X-Replayed"] == "true"
    assert len(requested(ACT)) == 1
    assert [put["outcome"] for put in logged()] == ["accepted", "duplicate"]


def test_the_last_order_of_a_day_is_taken_once(sender: Sender, client, monkeypatch):
    """Another signal takes it between what is read and what is written."""
    from apps.webhooks import receiving

    Account.objects.update(daily_limit=1)
    read, answers = receiving.facts_of, []

    def reading(**given: Any) -> Any:
        facts = read(**given)
        if not answers:
            answers.append(None)
            answers[0] = sender.send(client, sender.signal(id="first"))
        return facts

    monkeypatch.setattr(receiving, "facts_of", reading)
    problem(sender.send(client, sender.signal(id="second")), 429, "daily-limit")
    assert answers[0] is not None
    assert answers[0].status_code == 202
    assert Receipt.objects.get().key == "paper:id:first"
    assert DailyUse.objects.get().orders == 1
    assert [put["outcome"] for put in logged()] == ["accepted", "refused"]


def test_the_limit_of_a_day_is_one_rule_in_both_statements_that_count(sender: Sender):
    """One is part of accepting a signal, the other of placing an order."""
    from apps.orders.limits import daily_take

    account = sender.endpoint.account
    for number, (limit, exempt, before) in enumerate(product((0, 1, 2), (False, True), (None, 0, 1, 2, 3))):
        day, account.daily_limit = date(2026, 1, 1) + timedelta(days=number), limit
        came_to = []
        for simulation in (False, True):
            if before is not None:
                DailyUse.objects.create(account=account, day=day, simulation=simulation, orders=before)
            if simulation:
                allowed = daily_take(account=account, simulation=True, day=day, exempt=exempt).allowed
            else:
                given = {
                    "endpoint": sender.endpoint.pk, "key": str(number), "digest": "", "status": 202,
                    "answer": "{}", "order": uuid7(), "account": account.pk, "day": day, "simulation": False,
                    "limit": limit, "exempt": exempt,
                }  # fmt: skip
                allowed = execute(sql("apps.webhooks", "accept.sql"), given).fetchone()[1]
            use = DailyUse.objects.filter(account=account, day=day, simulation=simulation).first()
            came_to.append((allowed, use.orders if use else None))
        assert came_to[0] == came_to[1], (limit, exempt, before)
        assert came_to[0][0] == (exempt or (before or 0) < limit)


def test_rotated_tokens_and_secrets_are_valid_for_as_long_as_was_said(sender: Sender, client):
    from apps.webhooks.services import endpoint_rotate_secret, endpoint_rotate_token

    day = timedelta(days=1)
    token = endpoint_rotate_token(endpoint=sender.endpoint, by="t", overlap=day).token
    secret = endpoint_rotate_secret(endpoint=sender.endpoint, by="t", overlap=day).secret
    for number, (a_token, a_secret) in enumerate(
        ((token, secret), (token, sender.secret), (sender.token, secret), (sender.token, sender.secret))
    ):
        signal = sender.signal(secret=a_secret, id=str(number))
        assert sender.send(client, signal, token=a_token).status_code == 202
    past = datetime.now(UTC) - timedelta(minutes=1)
    Endpoint.objects.update(previous_token_until=past, previous_secret_until=past)
    problem(sender.send(client, sender.signal(secret=secret)), 404, "not-found")
    problem(sender.send(client, sender.signal(), token=token), 401, "webhook-secret")
    assert sender.send(client, sender.signal(secret=secret, id="5"), token=token).status_code == 202
    # Without an overlap the one before is over at once.
    last = endpoint_rotate_token(endpoint=sender.endpoint, by="t").token
    problem(sender.send(client, sender.signal(secret=secret), token=token), 404, "not-found")
    assert sender.send(client, sender.signal(secret=secret, id="6"), token=last).status_code == 202
