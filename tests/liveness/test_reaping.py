"""Reaping on a real server: who is claimed by whom, and when nothing may be concluded."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import redis

from apps.liveness.leases import Claim, LeaseSet, Timing, Unavailable, Verdict
from apps.stack.testing import Valkey
from tests.liveness.leasing import (
    BEATING,
    FENCED,
    LATE,
    TIMING,
    client,
    connect,
    elapse,
    leases,
    new_set,
    rebuilt,
    server,
    server_time,
    tokens,
)
from tests.support import wait_until

__all__ = ["client", "leases", "server"]


# Reapers -----------------------------------------------------------------------------------------


def test_who_stops_beating_is_an_orphan_by_the_clock_of_the_server(client: redis.Redis) -> None:
    leases = new_set(client, Timing(stale_after=0.1, orphan_after=0.4, claim_for=60))
    leases.rebuild([("beats", 1), ("stops", 2)])
    last = client.zscore(leases.name, "stops")

    def found() -> tuple[Claim, ...]:
        assert leases.beat("beats", 1) is BEATING
        return leases.reap().claims

    assert wait_until(found, what="an orphan", every=0.02) == (Claim(member="stops", token=2, beat_at=last),)
    assert server_time(client) - last >= 0.4
    assert leases.beat("stops", 2) is FENCED


def test_an_orphan_is_claimed_once_and_is_out_of_the_set(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register_many([("1", 11), ("2", 12), ("3", 13)])
    for member in ("1", "2"):
        elapse(leases, client, LATE, only=member)
    beats = dict(client.zrange(leases.name, 0, -1, withscores=True))
    found = leases.reap()
    assert (found.verdict, found.members, found.orphans, found.wait) == (Verdict.ACTED, 3, 2, 0)
    assert set(found.claims) == {
        Claim(member="1", token=11, beat_at=beats[b"1"]),
        Claim(member="2", token=12, beat_at=beats[b"2"]),
    }
    again = leases.reap()
    assert (again.verdict, again.members, again.orphans, again.claims) == (Verdict.ACTED, 1, 0, ())
    assert (leases.counts().members, leases.counts().claimed) == (1, 2)


def test_the_longest_silent_are_claimed_first_up_to_the_limit(leases: LeaseSet, client: redis.Redis) -> None:
    for user in range(7):
        leases.register(str(user), 1)
        elapse(leases, client, LATE + 10 * user, only=str(user))
    looks = [leases.reap(limit=3, force=True) for _ in range(4)]
    assert [[one.member for one in look.claims] for look in looks] == [
        ["6", "5", "4"],
        ["3", "2", "1"],
        ["0"],
        [],
    ]
    assert [look.orphans for look in looks] == [7, 4, 1, 0]


def test_a_look_with_a_limit_of_none_claims_nothing(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register("7", 1)
    elapse(leases, client, LATE)
    found = leases.reap(limit=0)
    assert (found.verdict, found.orphans, found.claims) == (Verdict.ACTED, 1, ())
    assert leases.beat("7", 1) is BEATING


def test_who_beat_in_time_is_claimed_by_nobody(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register("7", 1)
    elapse(leases, client, LATE)
    assert leases.beat("7", 1) is BEATING
    assert leases.reap().claims == ()


def test_a_reaped_worker_cannot_come_back_and_a_later_one_can(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register("7", 5)
    elapse(leases, client, LATE)
    [claim] = leases.reap().claims
    assert leases.look([("7", 5), ("7", 6)]) == [(None, True), (None, False)]
    assert leases.beat("7", 5) is FENCED
    assert leases.register("7", 5) is FENCED
    assert leases.register("7", 6) is BEATING
    assert leases.register("7", 5) is FENCED
    leases.acknowledge([claim])
    assert leases.beat("7", 5) is FENCED
    assert leases.register("7", 5) is FENCED
    assert leases.beat("7", 6) is BEATING


def test_a_claim_stays_its_reapers_until_it_runs_out(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register_many([("7", 5), ("8", 6)])
    elapse(leases, client, LATE)
    first = leases.reap().claims
    assert tokens(first) == {"7": 5, "8": 6}
    elapse(leases, client, TIMING.claim_for - 10)
    assert leases.reap().claims == ()
    leases.acknowledge([one for one in first if one.member == "8"])
    elapse(leases, client, 20)
    # The reaper is dead: another gets what it left, which is its own for as long again.
    assert leases.reap().claims == (Claim(member="7", token=5, beat_at=None),)
    assert leases.reap().claims == ()
    elapse(leases, client, TIMING.claim_for - 10)
    assert leases.reap().claims == ()
    elapse(leases, client, 20)
    [last] = leases.reap().claims
    leases.acknowledge([last])
    elapse(leases, client, 2 * TIMING.claim_for)
    assert leases.reap().claims == ()
    assert leases.counts().claimed == 0


def test_a_claim_runs_out_by_the_clock_of_the_server(client: redis.Redis) -> None:
    leases = rebuilt(new_set(client, Timing(stale_after=30, orphan_after=90, claim_for=0.3)), client)
    leases.register("7", 5)
    elapse(leases, client, LATE)
    began = server_time(client)
    assert tokens(leases.reap().claims) == {"7": 5}
    assert tokens(wait_until(lambda: leases.reap().claims, what="the claim to run out", every=0.02)) == {
        "7": 5
    }
    assert server_time(client) - began >= 0.3


def test_what_others_left_behind_comes_before_new_orphans(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register_many([("1", 1), ("2", 1)])
    elapse(leases, client, LATE)
    leases.reap()
    leases.register_many([("3", 1), ("4", 1)])
    elapse(leases, client, LATE)
    assert set(tokens(leases.reap(limit=3).claims)) > {"1", "2"}
    assert len(leases.reap(limit=3).claims) == 1


def test_who_is_alive_after_all_is_put_back(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register("7", 5)
    elapse(leases, client, LATE)
    [claim] = leases.reap().claims
    assert leases.restore(claim)
    assert not leases.restore(claim)
    assert leases.beat("7", 5) is BEATING
    assert leases.reap().claims == ()
    assert leases.counts().claimed == 0


def test_whose_successor_came_meanwhile_is_not_put_back(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register("7", 5)
    elapse(leases, client, LATE)
    [claim] = leases.reap().claims
    leases.register("7", 6)
    assert not leases.restore(claim)
    assert (leases.beat("7", 5), leases.beat("7", 6)) == (FENCED, BEATING)
    assert leases.counts().claimed == 0


def test_who_could_not_be_settled_is_put_back_as_late_as_it_was(
    leases: LeaseSet, client: redis.Redis
) -> None:
    leases.register("7", 5)
    elapse(leases, client, LATE)
    [claim] = leases.reap().claims
    assert leases.restore(claim, alive=False)
    assert leases.counts().claimed == 0
    assert leases.reap().claims == (claim,)
    elapse(leases, client, TIMING.claim_for + 1)
    [left] = leases.reap().claims
    # When it beat last is not known any more: it stays claimed.
    assert not leases.restore(left, alive=False)
    assert (leases.counts().members, leases.counts().claimed) == (0, 1)
    assert leases.restore(left)
    assert leases.beat("7", 5) is BEATING


def test_what_is_settled_is_not_put_back(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register("7", 5)
    elapse(leases, client, LATE)
    [claim] = leases.reap().claims
    leases.acknowledge([claim])
    leases.acknowledge([claim])
    assert not leases.restore(claim)
    assert leases.counts().members == 0
    with pytest.raises(ValueError, match="nobody's"):
        leases.restore(Claim(member="7", token=None, beat_at=None))


def test_marks_that_somebody_wrote_without_a_token_are_claimed_as_nobodys(
    leases: LeaseSet, client: redis.Redis
) -> None:
    late = server_time(client) - LATE
    client.zadd(leases.name, {"7": late, "8": server_time(client)})
    [(seven, _), (eight, _)] = leases.look([("7", 1), ("8", 1)])
    assert seven is not None
    assert eight is not None
    assert (seven.token, eight.token) == (None, None)
    assert leases.beat("8", 1) is FENCED
    [claim] = leases.reap().claims
    assert (claim.member, claim.token, claim.beat_at) == ("7", None, pytest.approx(late, abs=1e-5))
    elapse(leases, client, TIMING.claim_for + 1, only="7")
    assert leases.reap().claims == (Claim(member="7", token=None, beat_at=None),)
    leases.acknowledge([claim])
    assert leases.counts().claimed == 0
    assert (leases.release("8", 1), leases.release("8", None), leases.release("8", None)) == (
        False,
        True,
        False,
    )


def test_a_mark_without_a_token_becomes_its_who_registers(leases: LeaseSet, client: redis.Redis) -> None:
    client.zadd(leases.name, {"7": server_time(client) - LATE})
    assert leases.register("7", 1) is BEATING
    assert leases.reap().claims == ()
    assert leases.release("7", None) is False


@pytest.mark.parametrize("member", ["a|b", "|", "7 8", "Łódź", "{x}:claims", '"\\/\n\x7f\x00'])
def test_any_text_may_be_a_member(leases: LeaseSet, client: redis.Redis, member: str) -> None:
    leases.register(member, 5)
    elapse(leases, client, LATE)
    [claim] = leases.reap().claims
    assert (claim.member, claim.token) == (member, 5)
    assert leases.restore(claim)
    assert [mark.member for page in leases.marks() for mark in page] == [member]
    elapse(leases, client, LATE)
    assert leases.stale() == [member]
    leases.reap()
    elapse(leases, client, LATE)
    [claim] = leases.reap().claims
    assert (claim.member, claim.token) == (member, 5)
    leases.acknowledge([claim])
    assert leases.counts().claimed == 0


def test_nobody_is_an_orphan_soon_after_the_start(client: redis.Redis) -> None:
    timing = Timing(stale_after=30, orphan_after=90, start_grace=120)
    leases = rebuilt(new_set(client, timing), client)
    leases.register_many([("old", 1), ("new", 1), ("older", 1), ("newer", 1)])
    for member, seconds in {"older": 130, "old": 125, "new": 110, "newer": 100}.items():
        elapse(leases, client, seconds, only=member)
    assert [one.member for one in leases.reap(limit=1).claims] == ["older"]
    assert [one.member for one in leases.reap(limit=1).claims] == ["old"]
    assert leases.reap(limit=1).claims == ()
    elapse(leases, client, 15)
    assert [one.member for one in leases.reap().claims] == ["new"]
    # To register again under the same token is no new start.
    assert leases.register("newer", 1) is BEATING
    elapse(leases, client, 95, only="newer")
    assert [one.member for one in leases.reap().claims] == ["newer"]


def test_those_that_are_spared_at_the_start_hide_nobody_behind_them(client: redis.Redis) -> None:
    timing = Timing(stale_after=30, orphan_after=90, start_grace=1000)
    leases = rebuilt(new_set(client, timing), client)
    client.zadd(leases.name, {f"nobody's-{user}": server_time(client) - 95 for user in range(30)})
    leases.register_many((f"new-{user}", 1) for user in range(30))
    # Before, among and after the others.
    for user in range(30):
        elapse(leases, client, 91 + user % 10, only=f"new-{user}")
    found = [one.member for _ in range(4) for one in leases.reap(limit=8, force=True).claims]
    assert sorted(found) == sorted(f"nobody's-{user}" for user in range(30))
    assert leases.counts().members == 30


# Verdicts ----------------------------------------------------------------------------------------


def test_a_lost_set_is_not_acted_on_until_it_is_rebuilt(client: redis.Redis) -> None:
    leases = new_set(client)
    leases.register("7", 1)
    elapse(leases, client, LATE)
    for force in (False, True):
        found = leases.reap(force=force)
        assert (found.verdict, found.members, found.claims) == (Verdict.LOST, 1, ())
    assert leases.counts().booted is None
    assert leases.rebuild([("7", 1), ("8", 2)]) == 2
    assert leases.counts().booted == pytest.approx(0, abs=5)
    assert leases.reap().verdict is Verdict.GRACE


def test_rebuilding_keeps_what_is_there_and_adds_the_rest(client: redis.Redis) -> None:
    leases = new_set(client)
    leases.register("7", 5)
    elapse(leases, client, 40)
    assert leases.rebuild((str(user), 4) for user in range(1202)) == 1202
    [(seven, _), (eight, _), (last, _)] = leases.look([("7", 5), ("8", 4), ("1201", 4)])
    assert seven is not None
    assert eight is not None
    assert last is not None
    assert (seven.token, eight.token, last.token) == (5, 4, 4)
    assert seven.age >= 40 > eight.age >= last.age
    assert leases.counts().members == 1202
    assert (leases.beat("7", 5), leases.beat("8", 4), leases.beat("9", 3)) == (BEATING, BEATING, FENCED)


def test_everybody_has_time_to_beat_after_a_rebuild(client: redis.Redis) -> None:
    leases = new_set(client)
    leases.register("7", 1)
    elapse(leases, client, LATE)
    leases.rebuild([])
    found = leases.reap(force=True)
    assert (found.verdict, found.orphans, found.claims) == (Verdict.GRACE, 1, ())
    assert found.wait == pytest.approx(90, abs=5)
    elapse(leases, client, 60)
    assert leases.reap().wait == pytest.approx(30, abs=5)
    elapse(leases, client, 31)
    assert tokens(leases.reap().claims) == {"7": 1}


@pytest.mark.parametrize("looked", [True, False], ids=["after a look", "before the first look"])
def test_everybody_has_time_to_beat_after_a_restart_of_the_server(tmp_path: Path, looked: bool) -> None:
    with Valkey(tmp_path / "durable", durable=True) as server, connect(server) as client:
        leases = new_set(client)
        leases.rebuild([("7", 1)])
        if looked:
            leases.reap()
        elapse(leases, client, 2 * LATE)
        assert server.stop()
        with pytest.raises(Unavailable):
            leases.reap()
        server.start()
        found = leases.reap(force=True)
        assert (found.verdict, found.members, found.orphans, found.claims) == (Verdict.GRACE, 1, 1, ())
        assert found.wait == pytest.approx(90, abs=5)
        assert leases.beat("7", 1) is BEATING
        elapse(leases, client, LATE)
        assert tokens(leases.reap().claims) == {"7": 1}


@pytest.mark.parametrize("jump", [40.0, -40.0])
def test_a_set_clock_is_seen_by_another(client: redis.Redis, jump: float) -> None:
    """Which of the two was set cannot be told, and need not be."""
    shift = 1000.0
    leases = rebuilt(new_set(client, clock=lambda: time.time() + shift), client)
    leases.register("7", 1)
    elapse(leases, client, LATE)
    shift += 20
    assert leases.reap(limit=0).verdict is Verdict.ACTED
    shift += 20
    assert leases.reap(limit=0).verdict is Verdict.ACTED
    shift += jump
    found = leases.reap(force=True)
    assert (found.verdict, found.orphans, found.claims) == (Verdict.CLOCK, 1, ())
    assert found.wait == pytest.approx(90, abs=5)
    after = leases.reap(force=True)
    assert (after.verdict, after.claims) == (Verdict.GRACE, ())
    elapse(leases, client, LATE)
    assert tokens(leases.reap().claims) == {"7": 1}


def test_a_boot_mark_in_the_future_is_one_of_now(leases: LeaseSet, client: redis.Redis) -> None:
    elapse(leases, client, -10_000)
    found = leases.reap()
    assert found.verdict is Verdict.GRACE
    assert found.wait == pytest.approx(90, abs=5)


def test_marks_ahead_of_the_clock_are_brought_back(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register_many([("7", 1), ("8", 1)])
    elapse(leases, client, -5000, only="7")
    assert leases.reap().claims == ()
    assert client.zscore(leases.name, "7") == pytest.approx(server_time(client), abs=5)
    elapse(leases, client, LATE)
    assert tokens(leases.reap().claims) == {"7": 1, "8": 1}


def test_claims_ahead_of_the_clock_run_out_as_if_they_were_made_now(
    leases: LeaseSet, client: redis.Redis
) -> None:
    leases.register("7", 1)
    elapse(leases, client, LATE)
    leases.reap()
    elapse(leases, client, -5000, only="7")
    assert leases.reap().claims == ()
    elapse(leases, client, TIMING.claim_for + 1)
    assert tokens(leases.reap().claims) == {"7": 1}


@pytest.mark.parametrize(
    ("late", "of", "mass"), [(6, 10, True), (5, 10, False), (9, 9, False), (10, 10, True)]
)
def test_most_of_a_population_does_not_die_at_once(
    leases: LeaseSet, client: redis.Redis, late: int, of: int, mass: bool
) -> None:
    leases.register_many((str(user), 1) for user in range(of))
    for user in range(late):
        elapse(leases, client, LATE, only=str(user))
    found = leases.reap()
    assert (found.verdict, found.orphans) == (Verdict.MASS if mass else Verdict.ACTED, late)
    assert len(found.claims) == (0 if mass else late)
    forced = leases.reap(force=True)
    assert (forced.verdict, len(forced.claims)) == (Verdict.ACTED, late if mass else 0)


def test_claims_that_were_left_behind_are_given_out_although_most_are_late(
    leases: LeaseSet, client: redis.Redis
) -> None:
    leases.register("dead", 1)
    elapse(leases, client, LATE)
    leases.reap()
    leases.register_many((str(user), 1) for user in range(10))
    elapse(leases, client, LATE)
    found = leases.reap()
    assert (found.verdict, tokens(found.claims)) == (Verdict.MASS, {"dead": 1})
