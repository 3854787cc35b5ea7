"""Operators see who uses limits and who is denied, look one up, and have charges forgotten."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from apps.ratelimits import selectors, services
from apps.ratelimits.engine import engine
from apps.ratelimits.limiter import subject
from tests.ratelimits.operating import (
    CONSUMERS,
    DENIALS,
    LIST,
    RESET,
    SUBJECT,
    audited,
    cells,
    charge,
    content,
    messages,
    text,
)
from tests.ratelimits.requesting import by_address, by_user, group, statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

HERE = "address:203.0.113.7"
PAGES = (CONSUMERS, DENIALS, SUBJECT)


@pytest.fixture
def groups(limited, settings):
    settings.RATELIMITS_PLAN_OF = "tests.ratelimits.commanding.plan_of"
    limited(
        group("admin", {"address": by_address("1000/m")}, prefixes=["/admin/"]),
        group("exports", {"client": {"by": "subject", "rate": "5/m"}}),
        group(
            "default",
            {"address": by_address("50/m"), "user": by_user("30/m", plans={"pro": "90/m", "vast": None})},
        ),
    )


def used(who: str) -> dict[str, int]:
    return {one.policy.id: one.used for one in selectors.usage(who)}


# Who uses, and who is denied ----------------------------------------------------------------------


def test_consumers_are_listed_with_what_they_used_and_use_now(admin_client, groups, new_user):
    ann = new_user("ann")
    charge("default/user", f"user:{ann.pk}", 28)
    charge("default/user", f"user:{ann.pk}", 3)
    charge("default/user", "user:4711", 12)
    page = content(admin_client.get(CONSUMERS, {"policy": "default/user", "window": "600"}))
    assert cells(page) == [
        [f"user:{ann.pk} ann", "28", "1", "28 of 30 pro 28 of 90", "Reset …"],
        ["user:4711", "12", "0", "12 of 30 pro 12 of 90", "Reset …"],
    ]
    assert cells(content(admin_client.get(CONSUMERS, {"policy": "exports/client"}))) == [["Nobody."]]


def test_consumers_are_asked_for_by_policy_and_window(admin_client, groups):
    page = content(admin_client.get(CONSUMERS))
    assert re.findall(r'<option value="([^"]+/[^"]+)"', page) == [
        "admin/address", "exports/client", "default/address", "default/user",
    ]  # fmt: skip
    assert "<table>" not in page
    page = content(admin_client.get(CONSUMERS, {"policy": "default/user", "window": "nonsense"}))
    assert '<option value="3600" selected>1 hour' in page
    assert '<option value="default/user" selected>' in page
    assert admin_client.get(CONSUMERS, {"policy": "default/nobody"}).status_code == 404


def test_denials_are_listed_the_latest_first_and_of_one_policy_or_subject(admin_client, groups, new_user):
    ann = new_user("ann")
    services.policy_change_save(group="exports", rule="client", mode="shadow")
    for rule, who, units in (
        ("default/user", f"user:{ann.pk}", 31), ("default/address", HERE, 51),
        ("exports/client", "client:x", 6),
    ):  # fmt: skip
        charge(rule, who, units)
    listed = cells(content(admin_client.get(DENIALS)))
    assert [row[1:] for row in listed] == [
        ["exports/client", "shadow", "client:x", "GET /plain", "203.0.113.7"],
        ["default/address", "denied", HERE, "GET /plain", "203.0.113.7"],
        ["default/user", "denied", f"user:{ann.pk} ann", "GET /plain", "203.0.113.7"],
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", listed[0][0])
    for query, wanted in (
        ({"policy": "default/user"}, ["default/user"]), ({"subject": HERE}, ["default/address"]),
        ({"subject": "203.0.113.7"}, ["default/address"]), ({"subject": "ann"}, ["default/user"]),
        ({"subject": "nobody"}, []),
        ({"policy": "default/user", "subject": HERE}, []),
    ):  # fmt: skip
        listed = cells(content(admin_client.get(DENIALS, query)))
        assert [row[1] for row in listed if len(row) > 1] == wanted


def test_paths_that_were_asked_for_are_shown_as_content(admin_client, groups):
    client = Client()
    services.policy_change_save(group="default", rule="address", limit=0)
    client.get("/<script>alert(1)</script>")
    limits = engine()
    limits.tally.flush(limits.limiter.transport)
    page = admin_client.get(DENIALS).content.decode()
    assert "<script>alert(1)" not in page
    assert "GET /&lt;script&gt;alert(1)" in page


# One subject --------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["ann", "user:{pk}", "{pk}", " ann "])
def test_a_user_is_found_by_name_id_and_subject(admin_client, groups, new_user, asked):
    ann = new_user("ann")
    charge("default/user", f"user:{ann.pk}", 12)
    page = content(admin_client.get(SUBJECT, {"q": asked.format(pk=ann.pk)}))
    assert f"<h2>user:{ann.pk}</h2>" in page
    assert cells(page) == [["default/user", "12", "30", "60 s", "18", "enforce", "Reset …"]]


def test_a_user_is_measured_by_the_limits_of_their_plan(admin_client, groups, new_user):
    user = new_user("pro-ann")
    charge("default/user", f"user:{user.pk}", 40, plan="pro")
    page = content(admin_client.get(SUBJECT, {"q": "pro-ann"}))
    assert "<dd>pro</dd>" in page
    assert cells(page) == [["default/user", "40", "90", "60 s", "50", "enforce", "Reset …"]]


def test_a_name_that_looks_like_an_id_is_a_name_first(admin_client, groups, new_user):
    ann = new_user("ann")
    other = new_user(str(ann.pk))
    assert f"<h2>user:{other.pk}</h2>" in content(admin_client.get(SUBJECT, {"q": str(ann.pk)}))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("203.0.113.7", HERE),
        ("::ffff:203.0.113.7", HERE),
        ("address:::ffff:203.0.113.7", HERE),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("address:2001:db8:1:2::/64", "address:2001:db8:1:2::/64"),
        ("fe80::1", "address:fe80::/64"),
        ("client:any text", subject("client", "any text")),
        (subject("client", "any text"), subject("client", "any text")),
        ("everyone:all", "everyone:all"),
        ("user:99999999", "user:99999999"),
    ],
)
def test_an_address_or_subject_is_found_in_its_one_spelling(admin_client, groups, asked, found):
    charge("default/address", found, 3)
    page = content(admin_client.get(SUBJECT, {"q": asked}))
    assert f"<h2>{found}</h2>" in page
    assert cells(page)[0][:2] == ["default/address", "3"]


@pytest.mark.parametrize("asked", ["nobody", "999999", "Client:x", "client:", ":", "9" * 40, "a\0b", "1.2.3"])
def test_what_nobody_can_be_meant_by_is_said(admin_client, groups, asked):
    page = content(admin_client.get(SUBJECT, {"q": asked}))
    assert '<p class="errornote">' in page
    assert "<h2>" not in page


def test_who_was_charged_nothing_is_shown_so(admin_client, groups):
    assert cells(content(admin_client.get(SUBJECT, {"q": "203.0.113.7"}))) == [
        ["Nothing was charged in any window."]
    ]
    page = content(admin_client.get(SUBJECT))
    assert "<table>" not in page
    assert "errornote" not in page


# Reset --------------------------------------------------------------------------------------------


def test_who_is_reset_is_free_at_once(admin_client, admin_user, groups):
    client = Client(REMOTE_ADDR="203.0.113.7")
    services.policy_change_save(group="default", rule="address", limit=2)
    assert statuses(client, "/plain", 3) == [200, 200, 429]
    assert len(engine().denials) == 1
    page = content(admin_client.get(SUBJECT, {"q": "203.0.113.7"}))
    (link,) = re.findall(r'href="([^"]*)">Reset …', page)
    asked = content(admin_client.get(link))
    assert "under default/address is forgotten" in asked
    assert cells(asked) == [["default/address", "2", "2", "60 s", "0", "enforce"]]
    # Having looked is not having done it.
    assert client.get("/plain").status_code == 429
    done = admin_client.post(RESET, {"subject": HERE, "policy": "default/address"}, follow=True)
    assert messages(done) == [f"Forgotten what {HERE} was charged under default/address."]
    assert client.get("/plain").status_code == 200
    (told,) = audited("ratelimit.reset")
    assert (told["actor"], told["object_id"]) == (f"user:{admin_user.pk}", HERE)
    assert told["before"] == {"default/address": 2}


def test_a_subject_is_reset_under_all_policies_or_one(admin_client, groups):
    for rule in ("default/address", "default/user", "exports/client"):
        charge(rule, HERE, 3)
    done = admin_client.post(RESET, {"subject": HERE, "policy": "default/user"}, follow=True)
    assert used(HERE) == {"default/address": 3, "exports/client": 3}
    assert len(cells(content(done))) == 2
    done = admin_client.post(RESET, {"subject": HERE}, follow=True)
    assert messages(done) == [f"Forgotten what {HERE} was charged under 2 policies."]
    assert used(HERE) == {}
    done = admin_client.post(RESET, {"subject": HERE}, follow=True)
    assert messages(done) == [f"{HERE} had nothing to be forgotten."]


@pytest.mark.parametrize(
    "query", [{}, {"subject": "nonsense"}, {"subject": HERE, "policy": "default/nobody"}]
)
def test_nobody_is_reset_who_cannot_be_meant(admin_client, groups, query):
    assert admin_client.get(RESET, query).status_code == 404
    assert admin_client.post(RESET, query).status_code == 404
    assert audited("ratelimit.reset") == []


# Without Redis, without permission, and without many queries --------------------------------------


def test_pages_say_that_redis_is_away(admin_client, groups, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for url, query in (
        (CONSUMERS, {"policy": "default/user"}), (DENIALS, {}), (SUBJECT, {"q": HERE}),
        (RESET, {"subject": HERE}),
    ):  # fmt: skip
        page = content(admin_client.get(url, query))
        assert "Redis does not answer" in page
        assert "<table>" not in page
    done = admin_client.post(RESET, {"subject": HERE}, follow=True)
    assert messages(done) == ["Redis does not answer: nothing was forgotten."]
    assert audited("ratelimit.reset") == []


def test_who_may_only_look_sees_no_deed_and_does_none(staff, groups):
    viewer = staff("view_policychange")
    charge("default/address", HERE, 3)
    pages = [
        content(viewer.get(CONSUMERS, {"policy": "default/address"})),
        content(viewer.get(DENIALS)),
        content(viewer.get(SUBJECT, {"q": HERE})),
    ]
    assert HERE in pages[0]
    assert HERE in pages[2]
    for page in pages:
        assert "Reset" not in page
    for answer in (viewer.get(RESET, {"subject": HERE}), viewer.post(RESET, {"subject": HERE})):
        assert answer.status_code == 403
    assert used(HERE) == {"default/address": 3}


def test_who_may_look_at_nothing_sees_nothing(staff, groups):
    nobody = staff("view_addressrule")
    for url in PAGES:
        assert nobody.get(url).status_code == 403
        assert Client().get(url).status_code == 302


def test_pages_are_linked_from_the_list(admin_client, groups):
    page = text(admin_client.get(LIST))
    for url in PAGES:
        assert f'href="{url}"' in page


def test_pages_take_as_many_queries_for_many_as_for_few(
    admin_client, groups, new_user, django_assert_max_num_queries
):
    ann = new_user("ann")
    charge("default/user", f"user:{ann.pk}", 31)
    queries = [
        (CONSUMERS, {"policy": "default/user"}), (DENIALS, {}), (SUBJECT, {"q": "ann"}),
        (RESET, {"subject": f"user:{ann.pk}"}),
    ]  # fmt: skip
    taken = {}
    for url, query in queries:
        with django_assert_max_num_queries(15) as few:
            content(admin_client.get(url, query))
        taken[url] = len(few)
    for _ in range(10):
        charge("default/user", f"user:{new_user().pk}", 31)
    for url, query in queries:
        with django_assert_max_num_queries(taken[url]):
            content(admin_client.get(url, query))
