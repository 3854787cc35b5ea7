"""Makes the secrets of an installation that has none: ``python make_secrets.py FOLDER``.

Each is a file of its own, for its owner alone to read but for one that Prometheus needs, and is never made
again once it is there. An installation with a vault of its own puts its files in this place: variables of the
product that end with ``_FILE`` name them.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def _key(name: str) -> str:
    """A key as ENCRYPTION_KEYS and AUDIT_KEYS list them."""
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


#: Name of the file -> what makes its content. All are safe to be written in an address.
SECRETS: Mapping[str, Callable[[], str]] = {
    "secret_key": lambda: secrets.token_urlsafe(64),
    "encryption_keys": lambda: _key("first"),
    "audit_keys": lambda: _key("first"),
    "metrics_token": lambda: secrets.token_urlsafe(32),
    "database_password": lambda: secrets.token_urlsafe(32),
    "admin_password": lambda: secrets.token_urlsafe(16),
}

#: What others may read who see the folder.
SHARED = "metrics_token"


def make(folder: Path, *, database: str) -> list[str]:
    """Make what is missing in *folder*; the names of what was made.

    *database* is the address of the database with ``{password}`` in it, for the file ``database_url``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = [name for name, create in SECRETS.items() if _write(folder / name, create(), _mode(name))]
    password = (folder / "database_password").read_text(encoding="ascii")
    if _write(folder / "database_url", database.format(password=password)):
        made.append("database_url")
    return made


def _mode(name: str) -> int:
    return 0o444 if name == SHARED else 0o400


def _write(path: Path, text: str, mode: int = 0o400) -> bool:
    """Write *text*, unless there is a file already; whether it was written. All or nothing."""
    if path.exists():
        return False
    # A name that nobody had: whoever was killed here has left a file, and processes of containers share ids.
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    try:
        # Not over the file of another who is at it.
        os.link(unfinished, path)
    except FileExistsError:
        return False
    finally:
        unfinished.unlink()
    return True


if __name__ == "__main__":
    place = Path(sys.argv[1])
    address = os.environ.get(
        "DATABASE_URL_TEMPLATE", "postgres://chandlery:{password}@database:5432/chandlery"
    )
    print("made:", ", ".join(make(place, database=address)) or "nothing, all are there")  # noqa: T201
