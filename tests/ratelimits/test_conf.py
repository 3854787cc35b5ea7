"""Settings are read once, and again when one is overridden."""

from __future__ import annotations

from apps.ratelimits import conf
from apps.ratelimits.engine import engine


def test_an_engine_stays_until_a_setting_is_overridden(settings):
    before = engine()
    assert engine() is before
    assert conf.config() is conf.config()
    settings.RATELIMITS_TIMEOUT = 3.25
    assert conf.config().timeout == 3.25
    during = engine()
    assert during is not before
    assert during.config == conf.config()


def test_another_setting_makes_no_other_engine(settings):
    before = engine()
    settings.STATIC_URL = "elsewhere/"
    assert engine() is before
