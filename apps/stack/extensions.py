"""Extensions for the embedded PostgreSQL from a folder outside the wheel: TimescaleDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from apps.stack.errors import StackError
from apps.stack.privileges import Account, can_read

VARIABLE = "CHANDLERY_PG_EXTENSIONS"


@dataclass(frozen=True, kw_only=True)
class Extensions:
    """A folder that holds ``lib/`` and ``share/extension/``; None for no extensions."""

    folder: Path | None = None

    @classmethod
    def wanted(cls, environ: Mapping[str, str]) -> Extensions:
        """What ``CHANDLERY_PG_EXTENSIONS`` of *environ* names; none when it is not set."""
        folder = environ.get(VARIABLE, "").strip()
        return cls(folder=Path(folder).expanduser() if folder else None)

    def check(self, account: Account | None) -> None:
        """Raise StackError unless the folder holds TimescaleDB and *account* (None: we) can read it."""
        if self.folder is None:
            return
        if not self.folder.is_absolute() or any(sign in str(self.folder) for sign in ":'\""):
            raise StackError(f"{VARIABLE}={self.folder} must be an absolute path without colons and quotes")
        control = self.folder / "share" / "extension" / "timescaledb.control"
        library = self.folder / "lib" / "timescaledb.so"
        for path in (control, library):
            if not path.is_file():
                raise StackError(f"{VARIABLE}={self.folder} holds no TimescaleDB: {path} does not exist")
        for path in (control.parent, control, library.parent, library):
            if account is not None and not can_read(path, account):
                raise StackError(
                    f"{path} cannot be read by the account '{account.name}', "
                    "which the embedded PostgreSQL runs as"
                )

    def settings(self) -> Mapping[str, str]:
        """The server settings that load it; empty for none."""
        if self.folder is None:
            return {}
        return {
            "shared_preload_libraries": "timescaledb",
            "extension_control_path": f"$system:{self.folder}/share",
            "dynamic_library_path": f"$libdir:{self.folder}/lib",
            "timescaledb.telemetry_level": "off",
            "max_worker_processes": "24",
        }
