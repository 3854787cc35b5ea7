"""TA-Lib, loaded at its first use: importing the engine stays quick."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def talib() -> Any:
    """The library in its plain state: no extra warm-up, no other program's conventions."""
    library: Any = import_module("talib")

    library.set_unstable_period("ALL", 0)
    library.set_compatibility(0)
    return library
