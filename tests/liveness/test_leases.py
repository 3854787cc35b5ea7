"""Leases on a real server: who counts as alive, who is claimed, and when nothing may be concluded.

Time passes here by moving the times that the set has written into the past; `elapse` is that. That the
server's own clock does the same is shown by the tests that wait.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.liveness.leases import Beat, Claim, LeaseSet, Mark, Timing, Unavailable, Verdict
from apps.stack.testing import Valkey
from tests.liveness.leasing import elapse, server_time
from tests.support import wait_until

#: As in production: nothing of this is waited for.
TIMING = Timing(stale_after=30, orphan_after=90, claim_for=60)
LATE = 100.0
BEATING, REGISTER, FENCED = Beat.BEATING, Beat.REGISTER, Beat.FENCED


def connect(server: Valkey, **options: Any) -> redis.Redis:
    """A client that asks once."""
    return redis.Redis.from_url(
        server.url(), **{"socket_timeout": 10, "retry": Retry(NoBackoff(), 0), **options}
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey(durable=False) as running:
        yield running


@pytest.fixture
def client(server: Valkey) -> Iterator[redis.Redis]:
    with connect(server) as connected:
        yield connected


def new_set(client: redis.Redis, timing: Timing = TIMING, **options: Any) -> LeaseSet:
    """An empty set under a name of its own."""
    return LeaseSet(f"worker:{uuid4().hex}", timing, lambda: client, **options)


@pytest.fixture
def leases(client: redis.Redis) -> LeaseSet:
    """An empty set that was rebuilt long ago: fit to be acted on."""
    return rebuilt(new_set(client), client)


def rebuilt(leases: LeaseSet, client: redis.Redis) -> LeaseSet:
    leases.rebuild([])
    elapse(leases, client, 2 * LATE)
    return leases


def tokens(claims: tuple[Claim, ...]) -> dict[str, int | None]:
    return {one.member: one.token for one in claims}


# Holders -----------------------------------------------------------------------------------------


def test_the_key_is_a_sorted_set_of_user_ids_with_unix_seconds(client: redis.Redis) -> None:
    leases = LeaseSet("worker:all", TIMING, lambda: client)
    before = server_time(client)
    assert leases.register("7", 1) is BEATING
    assert client.type("worker:all") == b"zset"
    [(member, score)] = client.zrange("worker:all", 0, -1, withscores=True)
    assert member == b"7"
    assert before - 0.001 <= score <= server_time(client) + 0.001
    elapse(leases, client, LATE)
    assert leases.beat("7", 1) is BEATING
    assert before - 0.001 <= client.zscore("worker:all", "7") <= server_time(client) + 0.001
    client.delete(*leases.keys)


@pytest.mark.parametrize(
    ("registered", "beaten", "answer"),
    [(5, 5, BEATING), (5, 4, FENCED), (5, 6, REGISTER), (9, 10, REGISTER), (10, 9, FENCED)],
)
def test_a_beat_counts_only_under_the_registered_token(
    leases: LeaseSet, client: redis.Redis, registered: int, beaten: int, answer: Beat
) -> None:
    leases.register("7", registered)
    elapse(leases, client, LATE)
    assert leases.beat("7", beaten) is answer
    [(mark, claimed)] = leases.look([("7", registered)])
    assert mark is not None
    assert (mark.token, claimed) == (registered, False)
    assert (mark.age < LATE) is (answer is BEATING)


@pytest.mark.parametrize(
    ("registered", "then", "answer"),
    [(5, 5, BEATING), (5, 4, FENCED), (5, 6, BEATING), (9, 10, BEATING), (10, 9, FENCED)],
)
def test_a_registration_replaces_an_earlier_token_and_no_later_one(
    leases: LeaseSet, registered: int, then: int, answer: Beat
) -> None:
    leases.register("7", registered)
    assert leases.register("7", then) is answer
    assert leases.beat("7", max(registered, then)) is BEATING
    assert leases.beat("7", min(registered, then)) is (BEATING if registered == then else FENCED)


def test_an_unknown_member_registers_again_only_where_the_set_was_lost(client: redis.Redis) -> None:
    leases = new_set(client)
    assert leases.beat("7", 1) is REGISTER
    leases.rebuild([])
    assert leases.beat("7", 1) is FENCED
    assert leases.register("7", 1) is BEATING
    assert leases.beat("7", 1) is BEATING


@pytest.mark.parametrize(
    ("token", "done"),
    [(5, True), (4, False), (6, False), (None, False)],
    ids=["own", "older", "later", "none"],
)
def test_only_the_registered_holder_is_released(leases: LeaseSet, token: int | None, done: bool) -> None:
    leases.register("7", 5)
    assert leases.release("7", token) is done
    assert leases.counts().members == (0 if done else 1)
    assert leases.beat("7", 5) is (FENCED if done else BEATING)
    assert leases.release("7", 5) is not done


def test_nothing_is_left_of_who_was_released(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register("7", 5)
    leases.release("7", 5)
    marks, held, starts, claims, _ = leases.keys
    assert not client.exists(marks, held, starts, claims)


def test_many_are_answered_in_their_order(leases: LeaseSet) -> None:
    holders = [(str(user), user % 3 + 5) for user in range(1203)]
    assert leases.register_many(holders) == [BEATING] * 1203
    # All at token 6: fenced where 7 is registered, too early where 5 is.
    asked = {5: REGISTER, 6: BEATING, 7: FENCED}
    assert leases.beat_many((member, 6) for member, _ in holders) == [asked[token] for _, token in holders]
    assert leases.register_many((member, 6) for member, _ in holders) == [
        FENCED if token == 7 else BEATING for _, token in holders
    ]
    assert leases.release_many((member, 6) for member, _ in holders) == [token != 7 for _, token in holders]
    assert leases.counts().members == sum(token == 7 for _, token in holders)
    assert (leases.beat_many([]), leases.register_many([]), leases.release_many([])) == ([], [], [])


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


# Readers -----------------------------------------------------------------------------------------


def test_the_late_are_listed_with_the_longest_silent_first(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register_many((str(user), 1) for user in range(4))
    for user, seconds in {"0": 95, "1": 120, "2": 50}.items():
        elapse(leases, client, seconds, only=user)
    assert leases.stale() == ["1", "0"]
    assert leases.stale(seconds=40) == ["1", "0", "2"]
    assert leases.stale(limit=1) == ["1"]
    assert leases.stale(seconds=1000) == []
    assert leases.counts().members == 4


@pytest.mark.parametrize("limit", [10, 2000], ids=["few", "many"])
@pytest.mark.parametrize("decoded", [False, True], ids=["as bytes", "decoded"])
def test_the_late_are_listed_in_the_same_way_whether_few_or_many_are_wanted(
    server: Valkey, client: redis.Redis, limit: int, decoded: bool
) -> None:
    leases = new_set(client)
    with connect(server, decode_responses=decoded) as other:
        reader = LeaseSet(leases.name, TIMING, lambda: other)
        assert reader.stale(limit=limit) == []
        names = ["Łódź", '"\\/\n', "7"]
        for name in names:
            leases.register(name, 1)
        elapse(leases, client, LATE)
        leases.register("8", 1)
        assert reader.stale(limit=limit) == names
        if not decoded:
            client.zadd(leases.name, {b"\xff": 1})
            assert reader.stale(limit=limit) == ["\udcff", *names]


def test_members_are_counted_by_condition(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register_many((str(user), 1) for user in range(10))
    for user, seconds in {"0": 200, "1": 95, "2": 89, "3": 31, "4": 29}.items():
        elapse(leases, client, seconds, only=user)
    counts = leases.counts()
    assert (counts.alive, counts.stale, counts.orphaned, counts.claimed) == (6, 2, 2, 0)
    assert counts.members == 10
    assert counts.booted == pytest.approx(2 * LATE, abs=5)
    leases.reap()
    counts = leases.counts()
    assert (counts.alive, counts.stale, counts.orphaned, counts.claimed) == (6, 2, 0, 2)


def test_a_look_tells_marks_and_claims_of_as_many_as_are_asked_for(
    leases: LeaseSet, client: redis.Redis
) -> None:
    leases.register_many((str(user), user) for user in range(1, 1202))
    elapse(leases, client, LATE, only="1")
    leases.reap()
    looks = leases.look((str(user), user) for user in range(1203))
    assert [claimed for _, claimed in looks] == [user == 1 for user in range(1203)]
    assert [mark and (mark.member, mark.token) for mark, _ in looks] == [
        None if user in (0, 1, 1202) else (str(user), user) for user in range(1203)
    ]
    now = server_time(client)
    for mark, _ in looks[2:-1]:
        assert isinstance(mark, Mark)
        assert 0 <= mark.age < 60
        assert mark.beat_at == pytest.approx(now - mark.age, abs=60)
    assert leases.look([]) == []


@pytest.mark.parametrize("count", [0, 3, 2500])
def test_all_marks_are_read_in_slices(leases: LeaseSet, client: redis.Redis, count: int) -> None:
    leases.register_many((str(user), user + 1) for user in range(count))
    client.zadd(leases.name, {"nobody's": 1.0})
    pages = list(leases.marks())
    assert len(pages) > count / 1000
    found = {mark.member: mark.token for page in pages for mark in page}
    assert found == {str(user): user + 1 for user in range(count)} | {"nobody's": None}


def test_marks_that_go_while_all_are_read_are_left_out(leases: LeaseSet) -> None:
    leases.register_many((str(user), 1) for user in range(2000))
    pages = leases.marks()
    found = {mark.member for mark in next(pages)}
    gone = [str(user) for user in range(2000) if str(user) not in found and user % 2]
    leases.release_many((member, 1) for member in gone)
    rest = {mark.member for page in pages for mark in page}
    assert found | rest == {str(user) for user in range(2000)} - set(gone)


# The server --------------------------------------------------------------------------------------


def everything(leases: LeaseSet) -> dict[str, Callable[[], object]]:
    """Each method that asks the server, called in a way that has to ask."""
    claim = Claim(member="7", token=1, beat_at=None)
    return {
        "beat": lambda: leases.beat("7", 1),
        "beat_many": lambda: leases.beat_many([("7", 1)]),
        "register": lambda: leases.register("7", 1),
        "register_many": lambda: leases.register_many([("7", 1)]),
        "release": lambda: leases.release("7", 1),
        "release_many": lambda: leases.release_many([("7", 1)]),
        "reap": leases.reap,
        "acknowledge": lambda: leases.acknowledge([claim]),
        "restore": lambda: leases.restore(claim),
        "rebuild": lambda: leases.rebuild([("7", 1)]),
        "stale": leases.stale,
        "counts": leases.counts,
        "look": lambda: leases.look([("7", 1)]),
        "marks": lambda: list(leases.marks()),
    }


def test_a_refused_connection_is_no_answer() -> None:
    with Valkey(durable=False) as server, connect(server) as client:
        leases = new_set(client)
        leases.rebuild([("7", 1)])
        server.kill()
        for method in everything(leases).values():
            with pytest.raises(Unavailable, match="ConnectionError"):
                method()


def test_that_there_is_no_client_is_no_answer() -> None:
    """A client of a cluster asks it when it is made."""

    def fails() -> redis.Redis:
        raise redis.exceptions.RedisClusterException("no node can be reached")

    for method in everything(LeaseSet("worker:all", TIMING, fails)).values():
        with pytest.raises(Unavailable, match="no node can be reached"):
            method()


def test_a_silent_server_is_no_answer_and_what_it_says_too_late_is_not_heard(server: Valkey) -> None:
    with connect(server, socket_timeout=0.3) as client:
        leases = new_set(client)
        leases.rebuild([("7", 1)])
        server.signal(signal.SIGSTOP)
        try:
            for method in everything(leases).values():
                with pytest.raises(Unavailable, match="TimeoutError"):
                    method()
        finally:
            server.signal(signal.SIGCONT)
    with connect(server) as patient:
        leases = LeaseSet(leases.name, TIMING, lambda: patient)
        assert leases.register("7", 2) is BEATING
        assert leases.counts().members == 1
        assert leases.stale() == []
        assert leases.beat("7", 2) is BEATING


def test_a_server_without_memory_is_no_answer_and_half_of_nothing_is_done(
    leases: LeaseSet, client: redis.Redis
) -> None:
    leases.register_many([("7", 1), ("8", 1), ("9", 1)])
    for member, seconds in {"7": LATE, "8": 2 * LATE}.items():
        elapse(leases, client, seconds, only=member)
    [claim] = leases.reap(limit=1).claims
    assert claim.member == "8"
    client.config_set("maxmemory", 1)
    try:
        for method in ("beat", "register", "reap", "rebuild"):
            with pytest.raises(Unavailable, match="OutOfMemoryError"):
                everything(leases)[method]()
        # What takes no memory is done.
        assert (leases.counts().members, leases.counts().claimed) == (2, 1)
        assert leases.restore(claim)
        assert leases.release("9", 1)
    finally:
        client.config_set("maxmemory", 0)
    assert (leases.beat("7", 1), leases.beat("8", 1), leases.beat("9", 1)) == (BEATING, BEATING, FENCED)
    assert (leases.counts().members, leases.counts().claimed) == (2, 0)


def test_a_server_that_may_only_be_read_is_read(leases: LeaseSet, client: redis.Redis) -> None:
    leases.register("7", 1)
    client.replicaof("127.0.0.1", "1")
    try:
        for method in ("beat", "register", "release", "reap", "acknowledge", "rebuild", "restore"):
            with pytest.raises(Unavailable, match="ReadOnlyError"):
                everything(leases)[method]()
        assert leases.counts().members == 1
        assert leases.stale() == []
        assert [mark.member for page in leases.marks() for mark in page] == ["7"]
    finally:
        client.replicaof("no", "one")
    assert leases.beat("7", 1) is BEATING


def test_a_server_that_forgot_the_scripts_is_told_them_again(client: redis.Redis) -> None:
    leases = new_set(client)
    for _ in range(2):
        for method in everything(leases).values():
            client.script_flush()
            method()
    client.script_flush()
    assert leases.register("7", 2) is BEATING


def test_a_server_that_forgot_everything_asks_for_all_and_accuses_nobody(
    leases: LeaseSet, client: redis.Redis
) -> None:
    leases.register_many([("7", 1), ("8", 2)])
    client.flushall()
    assert (leases.beat("7", 1), leases.beat("8", 2)) == (REGISTER, REGISTER)
    assert leases.register("7", 1) is BEATING
    found = leases.reap(force=True)
    assert (found.verdict, found.members, found.claims) == (Verdict.LOST, 1, ())
    leases.rebuild([("7", 1), ("8", 2)])
    assert (leases.beat("7", 1), leases.beat("8", 2)) == (BEATING, BEATING)


def test_a_client_that_decodes_answers_is_as_good(server: Valkey) -> None:
    with connect(server) as plain, connect(server, decode_responses=True) as client:
        leases = new_set(client)
        leases.rebuild([("7", 5), ("8", 6)])
        elapse(LeaseSet(leases.name, TIMING, lambda: plain), plain, LATE)
        assert leases.beat("8", 6) is BEATING
        assert leases.stale() == ["7"]
        assert tokens(leases.reap().claims) == {"7": 5}
        assert [(mark.member, mark.token) for page in leases.marks() for mark in page] == [("8", 6)]
        assert leases.counts().booted == pytest.approx(LATE, abs=5)
