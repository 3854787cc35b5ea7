"""Which requests the benchmark SQS server breaks, and how: rules that are set and lifted while it runs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

#: kind -> (status, body). None: the connection is reset; `HANG`: there is no answer.
ANSWERS: dict[str, tuple[int, bytes]] = {
    "internal error": (500, b'{"__type":"com.amazonaws.sqs#InternalError","message":"We are sorry."}'),
    "unavailable": (503, b"<html>Service Unavailable</html>"),
    "bad gateway": (502, b""),
    "throttled": (400, b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Rate exceeded"}'),
    "forbidden": (403, b'{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no"}'),
    "garbage": (200, b"this is not json"),
}
#: The connection is reset before the request is looked at.
RESET = "reset"
#: The request is carried out, and the connection is reset instead of the answer.
LOST_ANSWER = "lost answer"
#: Nothing is answered at all.
HANG = "hang"
#: A message is delivered, and once more by a later receipt (standard queues).
DUPLICATE = "duplicate"
#: The next message is drawn from the first hundred (standard queues).
REORDER = "reorder"
KINDS = frozenset({*ANSWERS, RESET, LOST_ANSWER, HANG, DUPLICATE, REORDER})
_OF_DELIVERIES = frozenset({DUPLICATE, REORDER})


@dataclass(kw_only=True)
class Rule:
    """One kind of fault, which befalls the share *rate* of what it applies to.

    *action* is the beginning of an action's name, *queue* the beginning of a queue's; empty: all of them.
    *times* is how often at most; None: until it is lifted.
    """

    kind: str
    rate: float = 1.0
    action: str = ""
    queue: str = ""
    times: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}; there are {', '.join(sorted(KINDS))}")


class Faults:
    """The rules in force. Draws are repeatable: they follow from *seed* and the order of requests."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._rules: list[Rule] = []

    def add(self, **parameters: Any) -> None:
        """Set another rule. Raises ValueError and TypeError."""
        self._rules.append(Rule(**parameters))

    def clear(self) -> None:
        """Lift all rules."""
        self._rules.clear()

    def __bool__(self) -> bool:
        return bool(self._rules)

    def of_request(self, action: str, queue: str) -> str:
        """The fault that befalls this request; empty: none."""
        return self._draw(self._rules, action, queue, deliveries=False)

    def duplicated(self, queue: str) -> bool:
        """Whether the message that is being delivered will be delivered again."""
        return self._draw(self._rules, "", queue, deliveries=True, kind=DUPLICATE) == DUPLICATE

    def shuffle(self, queue: str, among: int) -> int:
        """Which of the first *among* messages is delivered next."""
        if self._draw(self._rules, "", queue, deliveries=True, kind=REORDER):
            return self._random.randrange(among)
        return 0

    def _draw(self, rules: list[Rule], action: str, queue: str, *, deliveries: bool, kind: str = "") -> str:
        for rule in rules:
            if (rule.kind in _OF_DELIVERIES) is not deliveries or (kind and rule.kind != kind):
                continue
            if not action.startswith(rule.action) and not deliveries:
                continue
            if not queue.startswith(rule.queue) or self._random.random() >= rule.rate:
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times <= 0:
                    rules.remove(rule)
            return rule.kind
        return ""
