"""Names of subjects: no two that differ meet, whatever is in them."""

from __future__ import annotations

import gc
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ratelimits.limiter import Charge, Limiter, Policy, subject
from apps.ratelimits.limiter.asking import Keys
from apps.ratelimits.limiter.subjects import _kept

#: Everything that is a separator somewhere, in strange places.
NAMES = [
    "7",
    "7|8",
    "|",
    "||",
    "7:8",
    ":",
    ":7",
    "7:",
    "a b",
    " a",
    "a ",
    "a\n",
    "\n",
    "a\0",
    "\0a",
    "\0",
    "a\0b",
    "~",
    "~a",
    "a~",
    "{a}",
    "}{",
    "%7C",
    "\\",
    "*",
    "?",
    "ä",
    "a\u0308",
    "\xe4",
    "Ａ",
    "A",
    "a",
    "\U00010000",
    "\ud800\udc00",
    "\ud800",
    "\udc00",
    "\udfff",
    "\u200b",
    "x" * 64,
    "x" * 65,
    "x" * 256,
    "x" * 257,
    "x" * 1_000_000,
    "x" * 1_000_001,
]
KINDS = ["user", "ip", "key", "u", "user-ip", "a" * 32]


def test_no_two_that_differ_meet() -> None:
    """But what is equal; and `ä` of one character is written twice in the list."""
    pairs = set(product(KINDS, NAMES))
    assert len(pairs) == len(KINDS) * (len(NAMES) - 1)
    assert len({subject(*pair) for pair in pairs}) == len(pairs)


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_two_names_make_one_subject_only_if_they_are_one(one: str, other: str) -> None:
    assert (subject("user", one) == subject("user", other)) is (one == other)


def test_what_a_hashed_name_looks_like_is_no_other_names_subject() -> None:
    hashed = subject("user", "a b")
    name = hashed.removeprefix("user:")
    assert name.startswith("~")
    assert subject("user", name) != hashed
    assert subject("user", name.removeprefix("~")) != hashed


@pytest.mark.parametrize("name", NAMES)
def test_a_subject_is_short_and_plain_whatever_the_name(name: str) -> None:
    made = subject("user", name)
    assert made == subject("user", name)
    assert made.isascii()
    assert made.isprintable()
    assert len(made) <= 5 + 64
    assert not set(made) & set("|{} \0\n")


def test_short_and_plain_names_can_be_read() -> None:
    assert subject("user", "7") == "user:7"
    assert subject("ip", "2001:db8::/64") == "ip:2001:db8::/64"
    assert subject("user", "someone+tag@example.com") == "user:someone+tag@example.com"


def test_nobody_is_no_subject() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        subject("user", "")


@pytest.mark.parametrize("kind", ["", "User", "user:7", "7user", "us|er", "user\n", "a" * 33, "ü", "-a"])
def test_a_kind_is_a_short_word(kind: str) -> None:
    for name in ("7", "x" * 1000):
        with pytest.raises(ValueError, match="is no kind of subject"):
            subject(kind, name)


def test_long_names_are_not_kept() -> None:
    before = _kept.cache_info().currsize
    name = "y" * 1_000_000
    references = sys.getrefcount(name)
    made = subject("user", name)
    gc.collect()
    assert sys.getrefcount(name) == references
    assert _kept.cache_info().currsize == before
    assert subject("user", name) == made


def test_policies_and_subjects_never_make_one_key_of_two() -> None:
    keys = Keys("some-")
    ids = ["a", "a:b", "a~", "user:7", "1", "version"]
    subjects = [subject(*pair) for pair in set(product(KINDS, NAMES))] + ["b|a", "a|b", ""]
    logs = {keys.log(one, other) for one in ids for other in subjects}
    assert len(logs) == len(ids) * len(subjects)
    assert keys.version not in logs
    assert not logs & {Keys("other-").log(one, other) for one in ids for other in subjects}


@pytest.mark.parametrize("name", ["", "a|b", "{a", "a}", "a b", "ä", "a\n", "a\0"])
def test_an_id_of_a_policy_has_no_separators(name: str) -> None:
    with pytest.raises(ValueError, match="is no id of a policy"):
        Policy(name, 1, 1000)


@pytest.mark.parametrize(
    ("limit", "window"), [(-1, 1000), (4_000_001, 1000), (1, 0), (1, -1), (1, 864_000_001)]
)
def test_a_policy_is_within_what_can_be_kept(limit: int, window: int) -> None:
    with pytest.raises(ValueError, match=r"a limit is from|a window is from"):
        Policy("a", limit, window)


def test_strange_names_are_counted_apart_in_redis(limiter: Limiter) -> None:
    policy = Policy("minute", 1, 60_000)
    charges = [Charge(policy, subject("user", name)) for name in dict.fromkeys(NAMES)]
    assert all(limiter.hit([charge]).allowed for charge in charges)
    assert not any(limiter.hit([charge]).allowed for charge in charges)
