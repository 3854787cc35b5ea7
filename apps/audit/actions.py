"""The actions that exist. An app registers its own in ``audit_actions.py``, imported when it is ready."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class Level(StrEnum):
    """How much attention an action asks for."""

    #: Usual work.
    INFO = "info"
    #: Worth to be noticed: rights, keys, money.
    NOTICE = "notice"
    #: Somebody should look at it.
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class Action:
    """A kind of deed: its dotted name, what people read, and what it is usually done to."""

    name: str
    label: str
    #: Of entries that name no other, as ``orders.order``.
    object_type: str = ""
    level: Level = Level.INFO


_actions: dict[str, Action] = {}


def register(action: Action) -> Action:
    """Make *action* known. Raises `ValueError` for a malformed name, or one that another action has."""
    if not _NAME.fullmatch(action.name):
        raise ValueError(f"{action.name!r} is no dotted name")
    known = _actions.get(action.name)
    if known is not None and known != action:
        raise ValueError(f"action {action.name} is registered already")
    _actions[action.name] = action
    return action


def action(name: str) -> Action:
    """The registered action of that name; raises `LookupError`."""
    try:
        return _actions[name]
    except KeyError:
        raise LookupError(f"no audit action {name!r} is registered") from None


def label_of(name: str) -> str:
    """What people read of an action; its name, where nobody here knows it any more."""
    known = _actions.get(name)
    return known.label if known else name


def level_of(name: str) -> Level:
    """The level of an action; info, where nobody here knows it any more."""
    known = _actions.get(name)
    return known.level if known else Level.INFO


def all_actions() -> list[Action]:
    """Every registered action, by name."""
    return [_actions[name] for name in sorted(_actions)]
