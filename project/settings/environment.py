"""The environment as settings read it: values, files with values, and all that is wrong with them at once.

Every variable may be given as ``NAME_FILE`` instead, the path of a file with the value; line ends at the end
of the file are not part of it. What is said of a mistake names variables and files and never shows a value.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import environ

#: With this status gunicorn ends as well, and does not start its workers again and again.
_STATUS = 3


class _Variables(Mapping[str, str]):
    """``os.environ``, in which a name has what is in the file that ``NAME_FILE`` names."""

    def __init__(self, faults: dict[str, str]) -> None:
        self._faults = faults
        self._files: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> str:
        path = os.environ.get(f"{name}_FILE")
        if not path:
            return os.environ[name]
        if path not in self._files:
            self._files[path] = self._read(name, path)
        value = self._files[path]
        if value is None:
            raise KeyError(name)
        if os.environ.get(name, value) != value:
            self._faults[name] = f"given twice and not the same, also as {name}_FILE"
        return value

    def _read(self, name: str, path: str) -> str | None:
        try:
            value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "not text in UTF-8"
            self._faults[name] = f"{name}_FILE, {path}, cannot be read: {why}"
            return None
        if not value:
            self._faults[name] = f"{name}_FILE, {path}, is empty"
            return None
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)


class Environment(environ.Env):  # type: ignore[misc]
    """Reads variables. What is wrong with one is kept until `settle`, and its default stands in for it.

    Unlike in django-environ a value that begins with ``$`` is that value and names no other variable.
    """

    def __init__(self) -> None:
        super().__init__()
        #: What is wrong, by variable.
        self.faults: dict[str, str] = {}
        self.ENVIRON = _Variables(self.faults)

    def demand(self, *names: str) -> None:
        """Have these be given: of several in one name, separated by ``|``, one is enough."""
        for name in names:
            variables = name.split("|")
            # Where a file is at fault, that is what is said.
            if not any(map(self._is_given, variables)) and not self.faults.keys() & set(variables):
                self.faults[name] = "not set"

    def _is_given(self, name: str) -> bool:
        return bool(self.ENVIRON.get(name, "").strip())

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        """The value as *cast* makes it; *default* where there is none."""
        text = self.ENVIRON.get(var)
        if text is None:
            if default is self.NOTSET:
                self.faults.setdefault(var, "not set")
                return None
            return self.parse_value(default, cast) if parse_default and default is not None else default
        if default is not self.NOTSET and text == default and not parse_default:
            return default
        try:
            return self.parse_value(text, cast)
        except Exception:
            self.faults[var] = "not readable as what it is for"
            return default

    def db_url(self, var: str, default: str) -> dict[str, Any]:
        """The parts of a database's address, as Django has them; none without it and without a default."""
        if not default and not self._is_given(var):
            return {}
        parts: dict[str, Any] = {}
        with suppress(Exception):
            parts = super().db_url(var, default=default)
        if "postgresql" not in parts.get("ENGINE", ""):
            self.faults[var] = "not an address such as postgres://user:password@host:port/name"
            parts = super().db_url_config(default) if default else {}
        return parts

    def email_url(self, var: str, default: str) -> dict[str, Any]:
        """A mail server's address, as Django has it."""
        parts: dict[str, Any]
        try:
            parts = super().email_url(var, default=default)
        except Exception:
            self.faults[var] = "not an address such as smtp+tls://user:password@host:port"
            parts = super().email_url_config(default)
        return parts

    def settle(self) -> None:
        """End the process where anything is wrong: with a line for each variable, and without a traceback."""
        if not self.faults:
            return
        lines = [f"  {name.replace('|', ' or ')}: {fault}" for name, fault in self.faults.items()]
        told = ["Chandlery cannot start with this environment:", *lines, "The README lists every variable."]
        print(*told, sep="\n", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(_STATUS)


env = Environment()
