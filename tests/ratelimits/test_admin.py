"""Operators see which rules are in force, change them in the admin, and let addresses in or out."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.ratelimits import services
from apps.ratelimits.models import AddressRule, PolicyChange
from tests.ratelimits.operating import (
    ADD,
    ADD_ADDRESS,
    ADDRESSES,
    LIST,
    audited,
    cells,
    charge,
    errors,
    page_of,
    text,
)
from tests.ratelimits.requesting import by_address, by_user, group, left, statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

POLICY = {"plan": "", "limit": "", "window": "", "mode": "", "note": ""}
NETWORK = {"network": "203.0.113.0/24", "verdict": "deny", "until_0": "", "until_1": "", "note": ""}


@pytest.fixture
def groups(limited):
    """Limits of which the admin's own pages are in none that is narrow."""
    limited(
        group("admin", {"address": by_address("1000/m")}, prefixes=["/admin/"]),
        group("exports", {"client": {"by": "subject", "rate": "5/m"}}),
        group("free", prefixes=["/free/"], exempt=True),
        group(
            "default",
            {"address": by_address("50/m"), "user": by_user("30/m", plans={"pro": "90/m"})},
            outage="closed",
        ),
    )


def rows(page: str) -> list[list[str]]:
    """The cells of the table of what is in force, without their tags."""
    return cells(page.split('class="module limits-rules"')[1])


# What is in force ---------------------------------------------------------------------------------


def test_all_groups_and_rules_are_listed_as_they_are_in_force(admin_client, groups):
    services.policy_change_save(group="default", rule="user", limit=20)
    services.policy_change_save(group="default", rule="user", plan="pro", unlimited=True)
    services.policy_change_save(group="default", rule="address", mode="shadow")
    charge("default/user", "user:7", 20)
    charge("default/user", "user:7", 1)
    charge("default/address", "address:203.0.113.7", 51)
    listed = rows(text(admin_client.get(LIST)))
    assert [row[0].split()[0] for row in listed if len(row) in (2, 8)] == [
        "admin", "exports", "free", "default"
    ]  # fmt: skip
    assert "paths from /admin/" in listed[0][0]
    assert listed[1][:7] == [
        "exports nothing: code asks it without Redis: open 0 let through, 0 denied",
        "client", "subject", "5/m", "", "enforce", "0",
    ]  # fmt: skip
    assert listed[2] == ["free paths from /free/", "exempt: nothing is counted"]
    assert listed[3] == [
        "default whatever no group before it has without Redis: closed 2 let through, 1 denied",
        "address changed", "address", "50/m", "", "shadow instead of enforce", "0 1 would be", "Change",
    ]  # fmt: skip
    assert listed[4] == [
        "user changed", "user", "20/m instead of 30/m", "pro: no limit instead of 90/m", "enforce", "1",
        "Change",
    ]  # fmt: skip


def test_a_rule_is_changed_by_its_row_or_by_a_form_that_knows_it(admin_client, groups):
    row = services.policy_change_save(group="default", rule="address", limit=20)
    page = text(admin_client.get(LIST))
    assert f'<a href="{page_of(row)}">Change</a>' in page
    for pattern, plan in (
        (r'href="([^"]*rule=user)">Change', None),
        (r'href="([^"]*rule=user[^"]*)">pro', "pro"),
    ):
        (link,) = re.findall(pattern, page)
        form = admin_client.get(link).context["adminform"].form
        assert [form[name].value() for name in ("group", "rule")] == ["default", "user"]
        assert (form["plan"].value() or None) == plan
    page = text(admin_client.get(page_of(row)))
    assert "50/m, enforce" in page
    assert "20/m, enforce" in page


def test_the_list_says_that_limits_are_off_or_redis_away(admin_client, groups, settings):
    page = text(admin_client.get(LIST))
    assert "switched off" not in page
    assert "Redis does not answer" not in page
    settings.RATELIMITS_ENABLED = False
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    page = text(admin_client.get(LIST))
    assert "Rate limits are switched off" in page
    assert "Redis does not answer" in page
    assert rows(page)[-1][-2] == "?"


def test_lists_take_as_many_queries_for_many_as_for_few(admin_client, groups, django_assert_max_num_queries):
    for url in (LIST, ADDRESSES):
        text(admin_client.get(url))
        with django_assert_max_num_queries(15):
            text(admin_client.get(url))
    with django_assert_max_num_queries(15) as few:
        text(admin_client.get(LIST))
    taken = len(few)
    for plan in ("basic", "pro", "vast"):
        services.policy_change_save(group="default", rule="user", plan=plan, limit=9)
    # Which reads the rules anew.
    text(admin_client.get(ADDRESSES))
    with django_assert_max_num_queries(taken):
        text(admin_client.get(LIST))


# Changing rules -----------------------------------------------------------------------------------


def test_an_edit_is_followed_by_the_next_request_and_forgets_nothing(admin_client, admin_user, groups):
    client = Client()
    statuses(client, "/plain", 40)
    values = {**POLICY, "group": "default", "rule": "address"}
    assert admin_client.post(ADD, {**values, "limit": "20"}).status_code == 302
    assert client.get("/plain").status_code == 429
    row = PolicyChange.objects.get()
    assert admin_client.post(page_of(row), {**POLICY, "limit": "60"}).status_code == 302
    assert left(client.get("/plain"))["default/address"] == 19
    assert admin_client.post(page_of(row, "delete"), {"post": "yes"}).status_code == 302
    assert left(client.get("/plain"))["default/address"] == 8
    told = audited("ratelimit.policy_changed", "admin.added", "admin.changed", "admin.deleted")
    assert {one["actor"] for one in told} == {f"user:{admin_user.pk}"}
    assert {one["object_id"] for one in told} == {str(row.pk)}
    assert sorted(one["action"] for one in told) == [
        "admin.added", "admin.changed", "admin.deleted", *["ratelimit.policy_changed"] * 3
    ]  # fmt: skip


def test_a_plan_of_a_rule_is_changed_apart(admin_client, groups):
    values = {**POLICY, "group": "default", "rule": "user", "plan": "pro"}
    admin_client.post(ADD, {**values, "limit": "120"})
    assert rows(text(admin_client.get(LIST)))[-1][2:4] == ["30/m", "pro: 120/m instead of 90/m"]
    admin_client.post(page_of(PolicyChange.objects.get()), {**POLICY, "unlimited": "on"})
    assert rows(text(admin_client.get(LIST)))[-1][3] == "pro: no limit instead of 90/m"


def test_selected_rows_are_deleted_and_each_is_told_of(admin_client, groups):
    made = [services.policy_change_save(group="default", rule=rule, limit=1) for rule in ("address", "user")]
    assert Client().get("/plain").status_code == 200
    admin_client.post(
        LIST,
        {"action": "delete_selected", "_selected_action": [row.pk for row in made], "post": "yes"},
    )
    assert not PolicyChange.objects.exists()
    assert len(audited("ratelimit.policy_changed")) == 4
    assert left(Client().get("/plain")) == {"default/address": 48}


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"group": "unicorns", "rule": "address", "limit": "1"}, "group", "valid choice"),
        ({"group": "free", "rule": "address", "limit": "1"}, "group", "valid choice"),
        ({"group": "default", "rule": "client", "limit": "1"}, "rule", "It has address, user."),
        ({"group": "exports", "rule": "client", "plan": "pro", "limit": "1"}, "plan", "has a plan"),
        ({"group": "default", "rule": "user", "window": "0"}, "window", "greater than or equal to 1"),
        ({"group": "default", "rule": "user", "window": "864001"}, "window", "less than or equal"),
        ({"group": "default", "rule": "user"}, "__all__", "Nothing differs from the settings"),
        ({"group": "default", "rule": "user", "plan": "pro", "mode": "off"}, "__all__", "one mode"),
        ({"group": "admin", "rule": "address", "limit": "0"}, "limit", "nobody could undo it here"),
    ],
)
def test_a_form_says_what_cannot_be(admin_client, groups, fields, field, says):
    found = errors(admin_client.post(ADD, {**POLICY, **fields}))
    assert list(found) == [field]
    assert says in found[field][0]
    assert not PolicyChange.objects.exists()


def test_a_rule_that_has_a_row_is_not_given_another(admin_client, groups):
    values = {**POLICY, "group": "default", "rule": "address", "limit": "20"}
    admin_client.post(ADD, values)
    found = errors(admin_client.post(ADD, {**values, "limit": "30"}))
    assert found == {"__all__": ["This rule has been changed already: edit that row."]}
    assert PolicyChange.objects.get().limit == 20


def test_a_row_that_comes_to_nothing_or_cannot_be_is_not_saved(admin_client, groups):
    row = services.policy_change_save(group="default", rule="user", plan="pro", limit=20)
    for fields in ({}, {"mode": "off"}, {"limit": "5", "unlimited": "on"}):
        assert errors(admin_client.post(page_of(row), {**POLICY, **fields}))
    row.refresh_from_db()
    assert (row.limit, row.mode, row.unlimited) == (20, "", False)


def test_a_row_of_a_rule_that_is_gone_is_shown_as_such_and_can_be_deleted(admin_client, groups):
    row = PolicyChange.objects.create(group="gone", rule="address", limit=1)
    page = text(admin_client.get(LIST))
    assert "not in the settings any more: gone/address." in page
    assert "this row changes nothing" in page
    assert "this row changes nothing" in text(admin_client.get(page_of(row)))
    (found,) = errors(admin_client.post(page_of(row), {**POLICY, "limit": "2"})).values()
    assert "Delete it." in found[0]
    assert Client().get("/plain").status_code == 200
    admin_client.post(page_of(row, "delete"), {"post": "yes"})
    assert not PolicyChange.objects.exists()


# Addresses ----------------------------------------------------------------------------------------


def test_addresses_are_shut_out_let_through_and_treated_as_before(admin_client, groups):
    client = Client(REMOTE_ADDR="203.0.113.7")
    admin_client.post(ADD_ADDRESS, {**NETWORK, "network": " 203.0.113.0/255.255.255.0 "})
    row = AddressRule.objects.get()
    assert row.network == "203.0.113.0/24"
    assert client.get("/plain").status_code == 403
    admin_client.post(page_of(row), {**NETWORK, "verdict": "allow", "note": "a partner"})
    answer = client.get("/plain")
    assert (answer.status_code, left(answer)) == (200, {})
    page = text(admin_client.get(ADDRESSES))
    assert "a partner" in page
    assert "until it is deleted" in page
    admin_client.post(page_of(row, "delete"), {"post": "yes"})
    assert left(client.get("/plain")) == {"default/address": 49}
    told = audited("ratelimit.addresses_changed")
    assert [one["after"].get("verdict") for one in told] == ["deny", "allow", None]


def test_a_rule_that_is_over_is_shown_as_such(admin_client, groups):
    AddressRule.objects.create(
        network="203.0.113.0/24", verdict="deny", until=timezone.now() - timedelta(seconds=1)
    )
    assert "over: it changes nothing" in text(admin_client.get(ADDRESSES))
    assert Client(REMOTE_ADDR="203.0.113.7").get("/plain").status_code == 200


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"network": "203.0.113.7/24"}, "network", "has host bits set"),
        ({"network": "everybody"}, "network", "does not appear to be"),
        ({"network": "0.0.0.0/0"}, "network", "nobody would be served"),
        ({"network": "::/0", "verdict": "allow"}, "network", "nobody would be limited"),
        ({"network": "127.0.0.0/8"}, "verdict", "You are at 127.0.0.1"),
        ({"network": "::ffff:127.0.0.1"}, "verdict", "You are at 127.0.0.1"),
        ({"until_0": "2020-01-01", "until_1": "00:00"}, "until", "over already"),
    ],
)
def test_a_form_says_which_addresses_make_no_sense(admin_client, groups, fields, field, says):
    found = errors(admin_client.post(ADD_ADDRESS, {**NETWORK, **fields}))
    assert list(found) == [field]
    assert says in found[field][0]
    assert not AddressRule.objects.exists()


def test_a_network_has_one_rule_however_it_is_written(admin_client, groups):
    admin_client.post(ADD_ADDRESS, {**NETWORK, "network": "203.0.113.7"})
    found = errors(admin_client.post(ADD_ADDRESS, {**NETWORK, "network": "::ffff:203.0.113.7"}))
    assert found == {"__all__": ["This network has a rule already."]}


def test_an_operator_may_let_through_where_they_are_but_not_turn_that_round(admin_client, groups):
    admin_client.post(ADD_ADDRESS, {**NETWORK, "network": "127.0.0.0/8", "verdict": "allow"})
    row = AddressRule.objects.get()
    assert (
        "You are at" in errors(admin_client.post(page_of(row), {**NETWORK, "verdict": "deny"}))["verdict"][0]
    )
    assert AddressRule.objects.get().verdict == "allow"


def test_the_list_shows_what_the_settings_have_beside_the_rows(admin_client, groups, settings):
    assert "In the settings beside these" not in text(admin_client.get(ADDRESSES))
    settings.RATELIMITS_ALLOW, settings.RATELIMITS_DENY = ["198.51.100.0/24"], ["192.0.2.1"]
    page = text(admin_client.get(ADDRESSES))
    assert "allowed 198.51.100.0/24; denied 192.0.2.1." in page
    assert "You are at 127.0.0.1." in page


# Without permission -------------------------------------------------------------------------------


def test_who_may_only_look_sees_no_deed_and_does_none(staff, groups):
    row = services.policy_change_save(group="default", rule="address", limit=20)
    network = services.address_rule_save(network="203.0.113.0/24", verdict="deny")
    viewer = staff("view_policychange", "view_addressrule")
    page = text(viewer.get(LIST))
    assert "20/m" in page
    assert ">Change</a>" not in page
    assert ADD not in page
    assert ADD_ADDRESS not in text(viewer.get(ADDRESSES))
    for one in (row, network):
        assert 'name="_save"' not in text(viewer.get(page_of(one)))
        for url in (page_of(one), page_of(one, "delete")):
            assert viewer.post(url, {"post": "yes"}).status_code == 403
    for url, values in (
        (ADD, {**POLICY, "group": "default", "rule": "user", "limit": "1"}),
        (ADD_ADDRESS, NETWORK),
    ):
        assert viewer.get(url).status_code == 403
        assert viewer.post(url, values).status_code == 403
    viewer.post(LIST, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert PolicyChange.objects.get().limit == 20
    assert AddressRule.objects.get().verdict == "deny"


def test_who_may_change_policies_may_do_all_of_it(staff, groups):
    operator = staff("view_policychange", "change_policychange")
    operator.post(ADD, {**POLICY, "group": "default", "rule": "address", "limit": "20"})
    row = PolicyChange.objects.get()
    assert operator.post(page_of(row, "delete"), {"post": "yes"}).status_code == 302
    assert not PolicyChange.objects.exists()
    assert operator.get(ADDRESSES).status_code == 403


def test_who_may_look_at_nothing_sees_nothing(staff, groups):
    nobody = staff()
    for url in (LIST, ADDRESSES, ADD, ADD_ADDRESS):
        assert nobody.get(url).status_code == 403
    assert Client().get(LIST).status_code == 302
    assert reverse("admin:login") in Client().get(LIST).url
