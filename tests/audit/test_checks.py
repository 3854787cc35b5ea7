"""Settings with which nothing could be appended are refused by ``manage.py check``."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from apps.audit.checks import check_keys
from tests.audit.chaining import KEYS


def test_keys_that_are_none_are_found_before_an_entry_is_lost_to_them(settings):
    for keys in ([], [KEYS["new"]], [KEYS["new"], f" {KEYS['old']}"]):
        settings.AUDIT_KEYS = keys
        assert check_keys(app_configs=None) == []
    for keys in (["new"], ["new:c2hvcnQ="], [""], [KEYS["new"], "old:?"], [KEYS["new"], KEYS["new"]]):
        settings.AUDIT_KEYS = keys
        (found,) = check_keys(app_configs=None)
        assert found.id == "audit.E001"
        assert found.msg.startswith("AUDIT_KEYS: ")
    with pytest.raises(SystemCheckError, match=r"audit\.E001"):
        call_command("check")
