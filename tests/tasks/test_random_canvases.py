"""Whatever chains, groups and chords are made of, they come to what plain Python makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from celery import chain, chord, group
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.tasks import batches
from apps.tasks.testing import run_pending
from tests.workload import tasks as work

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("state_follows_from_events"),
]


class Tree:
    """A canvas and what plain Python makes of it."""

    def __init__(self, signature: Any, evaluate: Any) -> None:
        self.signature = signature
        #: From the result before it (None: it is the first) to its own.
        self.evaluate = evaluate

    def __repr__(self) -> str:
        return repr(self.signature)


def sum_of(value: Any) -> int:
    return sum(map(sum_of, value)) if isinstance(value, list) else value


@st.composite
def trees(draw: Any, depth: int = 2) -> Tree:
    """A canvas that takes one number (or, nested, numbers) and comes to one number."""
    kind = draw(st.sampled_from(["task", "task", "chain", "chord"] if depth else ["task"]))
    if kind == "task":
        plus = draw(st.integers(-9, 9))
        return Tree(work.total.s(plus=plus), lambda value: sum_of(value) + plus)
    if kind == "chain":
        parts = draw(st.lists(trees(depth - 1), min_size=1, max_size=3))
        return Tree(chain(*(part.signature for part in parts)), lambda value: in_turn(parts, value))
    header = draw(st.lists(trees(depth - 1), min_size=1, max_size=3))
    body = draw(trees(depth - 1))
    return Tree(
        chain(group([part.signature for part in header]), body.signature)
        if draw(st.booleans())
        else chord([part.signature for part in header], body.signature),
        lambda value: body.evaluate([part.evaluate(value) for part in header]),
    )


def in_turn(parts: list[Tree], value: Any) -> Any:
    for part in parts:
        value = part.evaluate(value)
    return value


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(tree=trees(), value=st.integers(-99, 99))
def test_random_canvases_come_to_what_plain_python_makes_of_them(tree, value):
    result = tree.signature.apply_async((value,))
    run_pending()
    assert result.get(timeout=0) == tree.evaluate(value)
    assert not batches.complete_due()
