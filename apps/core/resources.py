"""SQL and Lua kept in files beside the module that runs them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def sql(package: str | None, name: str) -> str:
    """The text of ``<package>/sql/<name>``, read once per process."""
    if package is None:
        raise ValueError("sql() needs the package of its caller: pass __package__")
    return files(package).joinpath("sql", name).read_text(encoding="utf-8")
