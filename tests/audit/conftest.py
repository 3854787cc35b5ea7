from __future__ import annotations

import pytest

from tests.audit.chaining import KEYS
from tests.support import forget_audit


@pytest.fixture
def chain(db: None) -> None:
    """An empty chain, in the test's own transaction."""
    forget_audit()


@pytest.fixture
def keyed(chain: None, settings) -> None:
    """An empty chain whose rows are hashed under a key."""
    settings.AUDIT_KEYS = [KEYS["new"]]
