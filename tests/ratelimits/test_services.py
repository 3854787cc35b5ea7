"""Changes by code: checked, told to the audit, followed by every process, with nothing forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import Client
from django.utils import timezone

from apps.core import context
from apps.ratelimits import conf, selectors, services
from apps.ratelimits.engine import Engine, engine
from apps.ratelimits.limiter import Unavailable
from apps.ratelimits.models import AddressRule, PolicyChange
from tests.ratelimits.operating import audited, charge
from tests.ratelimits.requesting import by_address, by_user, group, left, statuses
from tests.support import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

HERE = "address:127.0.0.1"


@pytest.fixture
def groups(limited):
    limited(
        group("exports", {"client": {"by": "subject", "rate": "5/m"}}),
        group("open", routes=["open"], exempt=True),
        group(
            "default",
            {
                "address": by_address("50/m"),
                "anonymous": by_address("40/m", anonymous=True, mode="off"),
                "all": {"by": "everyone", "rate": "900/m", "mode": "off"},
                "user": by_user("30/m", plans={"pro": "90/m"}),
            },
        ),
    )


def save(rule="address", **fields) -> PolicyChange:
    return services.policy_change_save(group="default", rule=rule, **fields)


def other_process() -> Engine:
    """An engine of its own: it shares Redis and the database with this process, and nothing else."""
    return Engine(conf.config())


# Policies -----------------------------------------------------------------------------------------


def test_a_change_counts_what_was_charged_before_and_takes_no_restart(groups):
    client = Client()
    statuses(client, "/plain", 40)
    save(limit=20)
    assert client.get("/plain").status_code == 429
    save(limit=60)
    assert left(client.get("/plain"))["default/address"] == 19
    services.policy_change_delete(change=PolicyChange.objects.get())
    assert left(client.get("/plain"))["default/address"] == 8


def test_another_process_follows_a_change_as_soon_as_it_hears_of_it(groups):
    other = other_process()
    charges = [(other.rules().rule("default/address").policy(), HERE)]
    assert other.hit(charges, 40).allowed
    save(limit=20)
    other.look_after()
    policy = other.rules().rule("default/address").policy()
    assert policy.limit == 20
    decision = other.hit([(policy, HERE)], 1)
    assert (decision.allowed, decision.results[0].used) == (False, 40)
    assert other.denials.find([(policy, HERE)]) is not None
    save(limit=60)
    other.look_after()
    policy = other.rules().rule("default/address").policy()
    assert other.hit([(policy, HERE)], 1).results[0].remaining == 19


def test_a_plan_is_given_another_rate_and_loses_its_limit(groups):
    def rate(plan):
        return str(engine().rules().rule("default/user").rate_of(plan))

    assert (rate(""), rate("pro"), rate("vast")) == ("30/m", "90/m", "30/m")
    save("user", plan="pro", limit=120)
    save("user", plan="vast", window=3600)
    assert (rate(""), rate("pro"), rate("vast")) == ("30/m", "120/m", "30/h")
    save("user", plan="pro", unlimited=True)
    assert engine().rules().rule("default/user").policy("pro") is None
    save("user", limit=10)
    assert (rate(""), rate("vast")) == ("10/m", "10/h")


def test_a_rule_has_one_row_which_is_made_so_again(groups):
    first = save(limit=20, note="while they are slow")
    second = save(window=30, mode="shadow")
    assert first.pk == second.pk
    row = PolicyChange.objects.get()
    assert (row.limit, row.window, row.mode, row.note) == (None, 30, "shadow", "")


def test_a_change_is_told_to_the_audit_with_what_differs(groups):
    row = save(limit=20, by="user:7")
    with context.bind(actor="cli:ann"):
        save(limit=20, note="an attack")
        save(limit=20, note="an attack")
    services.policy_change_delete(change=row, by="user:8")
    services.policy_change_delete(change=row, by="user:8")
    made, changed, deleted = audited("ratelimit.policy_changed")
    assert {(one["object_type"], one["object_id"]) for one in (made, changed, deleted)} == {
        ("ratelimits.policychange", str(row.pk))
    }
    assert {one["detail"]["rule"] for one in (made, changed, deleted)} == {"default/address"}
    assert [one["actor"] for one in (made, changed, deleted)] == ["user:7", "cli:ann", "user:8"]
    assert (made["before"], made["after"]["limit"], made["after"]["group"]) == ({}, 20, "default")
    assert (changed["before"], changed["after"]) == ({"note": ""}, {"note": "an attack"})
    assert (deleted["before"]["note"], deleted["after"]) == ("an attack", {})


def test_a_change_that_is_rolled_back_is_neither_told_nor_followed(groups):
    rules = engine().rules()
    with pytest.raises(RuntimeError), transaction.atomic():
        save(limit=1)
        raise RuntimeError
    assert audited("ratelimit.policy_changed") == []
    assert engine().rules() is rules


@pytest.mark.parametrize(
    ("fields", "where", "says"),
    [
        ({"group": "unicorns", "rule": "address", "limit": 1}, "group", "There is no group unicorns."),
        ({"group": "open", "rule": "address", "limit": 1}, "group", "The group open is exempt"),
        ({"group": "exports", "rule": "user", "limit": 1}, "rule", "has no rule user. It has client."),
        ({"group": "exports", "rule": "client", "plan": "pro", "limit": 1}, "plan", "by subject"),
        ({"rule": "all", "plan": "pro", "limit": 1}, "plan", "by everyone"),
        ({"rule": "anonymous", "plan": "pro", "limit": 1}, "plan", "by address"),
        ({"rule": "user", "plan": "Pro!", "limit": 1}, "plan", "lower-case"),
        ({"rule": "user", "plan": "pro", "mode": "off"}, "__all__", "one mode"),
        ({"rule": "user", "plan": "pro", "limit": 1, "unlimited": True}, "unlimited", "neither"),
        ({"rule": "user", "unlimited": True}, "__all__", "Only a plan"),
        ({"rule": "user", "limit": 4_000_001}, "limit", "4000000"),
        ({"rule": "user", "limit": -1}, "limit", "0"),
        ({"rule": "user", "window": 0}, "window", "1"),
        ({"rule": "user", "window": 864_001}, "window", "864000"),
        ({"rule": "user", "mode": "loud"}, "mode", "not a valid choice"),
        ({"rule": "user"}, "__all__", "Nothing differs"),
        ({"rule": "user", "note": "x"}, "__all__", "Nothing differs"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(groups, fields, where, says):
    with pytest.raises(ValidationError) as raised:
        services.policy_change_save(**{"group": "default", **fields})
    found = raised.value.update_error_dict({})
    assert [name for name in found if says in " ".join(ValidationError(found[name]).messages)] == [where]
    assert not PolicyChange.objects.exists()
    assert audited("ratelimit.policy_changed") == []


def test_a_row_of_a_rule_that_is_gone_is_harmless_and_only_deleted(groups, limited):
    save(limit=1)
    limited(group("default", {"user": by_user("30/m")}))
    assert statuses(Client(), "/plain", 3) == [200] * 3
    with pytest.raises(ValidationError, match="do not have it any more"):
        save(limit=2)
    services.policy_change_delete(change=PolicyChange.objects.get())
    assert not PolicyChange.objects.exists()


# Addresses ----------------------------------------------------------------------------------------


def test_addresses_are_shut_out_let_through_and_treated_as_before(groups):
    client = Client()
    rule = services.address_rule_save(network="127.0.0.0/8", verdict="deny")
    assert client.get("/plain").status_code == 403
    assert services.address_rule_save(network=" 127.0.0.0/255.0.0.0 ", verdict="allow").pk == rule.pk
    answer = client.get("/plain")
    assert (answer.status_code, left(answer)) == (200, {})
    services.address_rule_delete(rule=rule)
    assert left(client.get("/plain"))["default/address"] == 49


def test_a_rule_for_addresses_ends_by_itself(groups):
    client = Client()
    rule = services.address_rule_save(
        network="127.0.0.1", verdict="deny", until=timezone.now() + timedelta(hours=1)
    )
    assert client.get("/plain").status_code == 403
    # Nobody tells of its end, and nobody waits for the minute after which rules are read in any case.
    services.address_rule_save(
        network="127.0.0.1", verdict="deny", until=timezone.now() + timedelta(seconds=2)
    )
    engine().rules()
    assert engine()._good_for <= 2
    wait_until(lambda: client.get("/plain").status_code == 200, what="the rule to end")
    assert AddressRule.objects.get() == rule


def test_rules_for_addresses_are_told_to_the_audit_with_what_differs(groups):
    until = timezone.now() + timedelta(hours=1)
    rule = services.address_rule_save(network="::ffff:203.0.113.7", verdict="deny", by="user:7")
    services.address_rule_save(network="203.0.113.7", verdict="deny", until=until, by="user:7")
    services.address_rule_delete(rule=rule, by="user:7")
    services.address_rule_delete(rule=rule, by="user:7")
    made, changed, deleted = audited("ratelimit.addresses_changed")
    assert made["object_id"] == changed["object_id"] == deleted["object_id"] == str(rule.pk)
    assert made["object_type"] == "ratelimits.addressrule"
    assert made["detail"] == {"network": "203.0.113.7/32"}
    assert made["after"] == {"network": "203.0.113.7/32", "verdict": "deny", "until": None, "note": ""}
    assert (changed["before"], changed["after"]) == ({"until": None}, {"until": until.isoformat()})
    assert (deleted["before"]["verdict"], deleted["after"]) == ("deny", {})


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"network": "203.0.113.7/24"}, "network"),
        ({"network": "everybody"}, "network"),
        ({"network": ""}, "network"),
        ({"network": "fe80::1%eth0"}, "network"),
        ({"network": "0.0.0.0/0"}, "network"),
        ({"network": "::/0"}, "network"),
        ({"network": "::ffff:0:0/96"}, "network"),
        ({"verdict": "perhaps"}, "verdict"),
        ({"until": timezone.now() - timedelta(seconds=1)}, "until"),
    ],
)
def test_addresses_that_make_no_sense_are_refused(groups, fields, where):
    with pytest.raises(ValidationError) as raised:
        services.address_rule_save(**{"network": "203.0.113.0/24", "verdict": "allow", **fields})
    assert list(raised.value.update_error_dict({})) == [where]
    assert not AddressRule.objects.exists()


# Subjects -----------------------------------------------------------------------------------------


def test_a_reset_frees_at_once_whoever_was_denied(groups):
    client = Client()
    save(limit=2)
    assert statuses(client, "/plain", 3) == [200, 200, 429]
    # What is in this process's mind already need not be asked for.
    assert len(engine().denials) == 1
    assert services.subject_reset(subject=HERE) == 1
    assert left(client.get("/plain"))["default/address"] == 1


def test_another_process_forgets_what_it_remembers_of_who_was_reset(groups):
    other = other_process()
    charges = [(other.rules().rule("default/address").policy(), HERE)]
    other.hit(charges, 50)
    assert not other.hit(charges, 1).allowed
    assert other.denials.find(charges) is not None
    services.subject_reset(subject=HERE)
    other.look_after()
    assert other.denials.find(charges) is None
    assert other.hit(charges, 1).results[0].used == 1


def test_a_reset_may_be_of_some_policies(groups):
    for rule in ("default/address", "exports/client"):
        charge(rule, HERE, 3)
    assert services.subject_reset(subject=HERE, policies=["exports/client", "exports/client"]) == 1
    assert [(one.policy.id, one.used) for one in selectors.usage(HERE)] == [("default/address", 3)]
    with pytest.raises(LookupError):
        services.subject_reset(subject=HERE, policies=["exports/nobody"])


def test_a_reset_is_told_to_the_audit_with_what_was_forgotten(groups):
    charge("default/address", HERE, 3)
    charge("default/user", "user:7", 4)
    services.subject_reset(subject=HERE, by="user:8")
    with context.bind(actor="cli:ann"):
        services.subject_reset(subject="user:7", policies=["default/user"])
    first, second = audited("ratelimit.reset")
    assert (first["object_type"], first["object_id"]) == ("ratelimits.subject", HERE)
    assert (first["actor"], first["before"], first["after"]) == ("user:8", {"default/address": 3}, {})
    assert "exports/client" in first["detail"]["policies"]
    assert (second["actor"], second["before"]) == ("cli:ann", {"default/user": 4})
    assert second["detail"] == {"policies": ["default/user"]}


def test_nothing_is_forgotten_or_told_of_while_redis_is_away(groups, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(Unavailable):
        services.subject_reset(subject=HERE)
    assert audited("ratelimit.reset") == []


def test_rules_are_changed_while_redis_is_away_and_this_process_follows(groups, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    save(limit=7)
    assert str(engine().rules().rule("default/address").rate) == "7/m"
