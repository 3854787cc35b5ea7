"""Leases on a real server: who counts as alive, and what is known of whom.

Time passes here by moving the times that the set has written into the past; `elapse` is that. That the
server's own clock does the same is shown by the tests that wait.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
import redis

from apps.liveness.leases import Beat, Claim, LeaseSet, Mark, Unavailable, Verdict
from apps.stack.testing import Valkey
from tests.liveness.leasing import (
    BEATING,
    FENCED,
    LATE,
    REGISTER,
    TIMING,
    client,
    connect,
    elapse,
    leases,
    new_set,
    server,
    server_time,
    tokens,
)

__all__ = ["client", "leases", "server"]


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
