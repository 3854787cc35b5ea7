from __future__ import annotations

from typing import Any

import pytest

from apps.backtests.engine import Bars
from apps.backtests.report.document import report_document
from apps.backtests.report.outcome import Outcome
from tests.backtests.report.running import NAME, SPEC, outcome, walk
from tests.candles.conftest import shared_candles

__all__ = ["shared_candles"]


@pytest.fixture(scope="session")
def year() -> Bars:
    """A year of minutes."""
    return walk(525_600)


@pytest.fixture(scope="session")
def year_outcome(year: Bars) -> Outcome:
    return outcome(year)


@pytest.fixture(scope="session")
def year_document(year: Bars, year_outcome: Outcome) -> dict[str, Any]:
    """The report of it; not to be changed."""
    return report_document(bars={NAME: year}, outcome=year_outcome, spec=SPEC.as_dict(), timeframe="1m")
