"""What the README says of rate limits."""

from __future__ import annotations

import json
import re
from pathlib import Path

from django.conf import settings

from apps.ratelimits.metrics import RateLimitCollector
from apps.ratelimits.rules import Mode, read_groups
from apps.ratelimits.rules.reading import RULE_OPTIONS

README = (Path(settings.BASE_DIR) / "README.md").read_text()
SECTION = README.split("\n## Rate limits\n", 1)[1].split("\n## ", 1)[0]


def rows(heading: str) -> dict[str, str]:
    table = SECTION.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", table, re.MULTILINE))


def test_every_group_is_documented_with_its_rates():
    documented = rows("group")
    groups = read_groups(settings.RATELIMITS_GROUPS)
    assert list(documented) == [group.name for group in groups]
    for group in groups:
        rates = [str(rate) for rule in group.rules for rate in (rule.rate, *rule.plans.values())]
        named = re.findall(r"\d+/\d*[smhd]", documented[group.name])
        assert sorted(set(named)) == sorted(set(rates)), group.name


def test_every_option_of_a_rule_is_documented_and_the_example_is_read():
    assert set(rows("rule option")) == RULE_OPTIONS
    assert all(f"`{mode}`" in rows("rule option")["mode"] for mode in Mode.values)
    text = re.search(r"```json\n(.*?)```", SECTION, re.DOTALL)
    assert text is not None
    example = json.loads(text.group(1).replace("package.module.function", "apps.candles.api.cost.units"))
    [api, health] = read_groups(example)
    assert str(api.rule("user").rate_of("pro")) == "1200/m"
    assert api.rule("user").rate_of("staff") is None
    assert (api.rule("user").mode, api.rule("anonymous").expose) == (Mode.SHADOW, False)
    assert health.exempt


def test_every_metric_is_documented(limited):
    told = [
        f"{one.name}_total" if one.type == "counter" else one.name for one in RateLimitCollector().collect()
    ]
    table = README.split("| metric |", 1)[1].split("\n\n", 1)[0]
    assert set(told) == set(re.findall(r"^\| `(chandlery_ratelimit_\w+)`", table, re.MULTILINE))
