"""Rules that change while they are in force, and what processes tell each other."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from apps.ratelimits import conf, runtime
from apps.ratelimits.engine import Engine, engine
from apps.ratelimits.models import AddressRule, PolicyChange
from tests.ratelimits.requesting import by_address, group, left, statuses

pytestmark = pytest.mark.django_db(transaction=True)


def change(**fields) -> PolicyChange:
    made, _ = PolicyChange.objects.update_or_create(
        group="default", rule=fields.pop("rule", "address"), defaults=fields
    )
    runtime.announce()
    return made


def test_a_change_is_followed_at_once_and_forgets_nothing(limited):
    limited(group("default", {"address": by_address("50/m")}))
    client = Client()
    statuses(client, "/plain", 40)
    change(limit=20)
    assert client.get("/plain").status_code == 429
    change(limit=60)
    assert left(client.get("/plain")) == {"default/address": 19}
    change(limit=None)
    assert left(client.get("/plain")) == {"default/address": 8}


def test_other_processes_follow_with_their_next_decision(limited):
    """An engine of its own stands for another process: they share Redis and nothing else."""
    limited(group("default", {"address": by_address("50/m")}))
    other = Engine(conf.config())
    charges = [(other.rules().rule("default/address").policy(), "address:127.0.0.1")]
    assert other.hit(charges, 1).allowed
    before = other.rules()
    change(limit=1)
    assert other.rules() is before
    # The decision itself says so, and the next is by the new rules.
    assert other.hit(charges, 1).allowed
    charges = [(other.rules().rule("default/address").policy(), "address:127.0.0.1")]
    assert not other.hit(charges, 1).allowed
    # What it remembers of denials is asked anew as well, by a process that asks for nothing else.
    assert other.denials.find(charges) is not None
    change(limit=5)
    other.look_after()
    assert other.denials.find(charges) is None
    charges = [(other.rules().rule("default/address").policy(), "address:127.0.0.1")]
    assert other.hit(charges, 1).allowed


def test_a_change_of_the_window_counts_what_it_reaches(limited):
    limited(group("default", {"address": by_address("5/m")}))
    client = Client()
    statuses(client, "/plain", 4)
    change(window=3600)
    assert left(client.get("/plain")) == {"default/address": 0}
    answer = client.get("/plain")
    assert answer.status_code == 429
    assert 3590 < int(answer.headers["Retry-After"]) <= 3601


def test_a_rule_may_be_watched_first_and_enforced_then(limited):
    limited(group("default", {"address": by_address("2/m")}))
    client = Client()
    change(mode="shadow")
    assert statuses(client, "/plain", 4) == [200] * 4
    change(mode="")
    # What it counted in the shadow is there.
    assert client.get("/plain").status_code == 429
    change(mode="off")
    assert statuses(client, "/plain", 4) == [200] * 4


def test_a_limit_may_cross_from_single_entries_to_ticks_and_back(limited):
    limited(group("default", {"address": by_address("10/m")}))
    client = Client()
    statuses(client, "/plain", 6)
    change(limit=5000)
    assert left(client.get("/plain")) == {"default/address": 4993}
    change(limit=8)
    assert left(client.get("/plain")) == {"default/address": 0}
    assert client.get("/plain").status_code == 429


def test_addresses_are_shut_out_and_let_through_at_run_time(limited):
    limited(group("default", {"address": by_address("1/m")}))
    client = Client()
    client.get("/plain")
    rule = AddressRule.objects.create(network="127.0.0.0/8", verdict="allow")
    runtime.announce()
    # This process has a denial in mind, and hears of the change when it was told.
    assert statuses(client, "/plain", 3) == [200] * 3
    rule.verdict = "deny"
    rule.save()
    runtime.announce()
    assert client.get("/plain").status_code == 403
    rule.until = timezone.now() - timedelta(seconds=1)
    rule.save()
    runtime.announce()
    assert client.get("/plain").status_code == 429


def test_what_nobody_was_told_of_is_seen_within_a_minute(limited, monkeypatch: pytest.MonkeyPatch):
    limited(group("default", {"address": by_address("9/m")}))
    client = Client()
    client.get("/plain")
    PolicyChange.objects.create(group="default", rule="address", limit=1)
    assert client.get("/plain").status_code == 200
    limits = engine()
    limits._read_at -= 61
    assert client.get("/plain").status_code == 429


def test_rules_that_cannot_be_read_leave_those_of_before(limited, monkeypatch: pytest.MonkeyPatch):
    limited(group("default", {"address": by_address("9/m")}))
    change(limit=3)
    client = Client()
    assert left(client.get("/plain")) == {"default/address": 2}

    def away(*args: object, **more: object) -> None:
        raise DatabaseError("the database is away")

    monkeypatch.setattr(runtime, "load", away)
    engine().announce()
    assert left(client.get("/plain")) == {"default/address": 1}
    monkeypatch.undo()
    PolicyChange.objects.update(limit=4)
    engine().announce()
    assert left(client.get("/plain")) == {"default/address": 1}


def test_nobody_waits_for_rules_that_somebody_else_reads(limited, monkeypatch: pytest.MonkeyPatch):
    limited(group("default", {"address": by_address("9/m")}))
    limits = engine()
    before = limits.rules()
    began, go_on = threading.Event(), threading.Event()
    load = runtime.load

    def slowly(*args, **more):
        began.set()
        go_on.wait(60)
        return load(*args, **more)

    def read() -> None:
        try:
            limits.rules()
        finally:
            connection.close()

    monkeypatch.setattr(runtime, "load", slowly)
    limits.announce()
    reading = threading.Thread(target=read)
    reading.start()
    assert began.wait(60)
    assert limits.rules() is before
    go_on.set()
    reading.join(60)
    assert limits.rules() is not before


def test_a_row_that_cannot_be_read_keeps_no_other_from_being_followed(
    limited, caplog: pytest.LogCaptureFixture
):
    """Written past the services, which would have refused it."""
    limited(group("default", {"address": by_address("1/m")}))
    AddressRule.objects.create(network="everybody", verdict="deny")
    AddressRule.objects.create(network="127.0.0.0/8", verdict="allow")
    runtime.announce()
    assert statuses(Client(), "/plain", 3) == [200] * 3
    assert "an address rule is left out: 'everybody'" in caplog.text


def test_a_redis_that_was_emptied_changes_no_rules(limited):
    limited(group("default", {"address": by_address("9/m")}))
    change(limit=3)
    client = Client()
    client.get("/plain")
    limits = engine()
    limits.limiter.transport.command("DEL", limits.limiter.keys.version)
    assert left(client.get("/plain")) == {"default/address": 1}
    assert left(client.get("/plain")) == {"default/address": 0}
    assert client.get("/plain").status_code == 429


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": 4_000_001}, {"window": 0}, {"window": 864_001}, {"mode": "loud"},
        {"plan": "pro", "mode": "off"}, {"unlimited": True},
    ],
)  # fmt: skip
def test_the_database_holds_no_change_that_cannot_be(fields):
    with pytest.raises(DatabaseError):
        PolicyChange.objects.create(group="default", rule="address", **fields)
