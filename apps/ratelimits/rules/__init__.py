"""What is limited, and how: groups of endpoints with their rules, from the settings and as changed since."""

from __future__ import annotations

from apps.ratelimits.rules.groups import By, Group, Mode, Outage, Rate, Rule
from apps.ratelimits.rules.reading import InvalidRules, read_groups
from apps.ratelimits.rules.ruleset import Change, Ruleset

__all__ = [
    "By",
    "Change",
    "Group",
    "InvalidRules",
    "Mode",
    "Outage",
    "Rate",
    "Rule",
    "Ruleset",
    "read_groups",
]
