"""The demo's secrets: made once, kept in a file that only its owner can read."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from apps.stack.errors import StackError


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Django's SECRET_KEY and the account that the demo creates."""

    secret_key: str
    admin_username: str
    admin_password: str

    @property
    def encryption_keys(self) -> str:
        """The value of ENCRYPTION_KEYS: one key, derived from the secret key."""
        key = hashlib.sha256(b"encryption:" + self.secret_key.encode()).digest()
        return f"demo:{base64.b64encode(key).decode()}"


def load(path: Path) -> Credentials:
    """The credentials in *path*, made there (mode 0600) when the file does not exist.

    Raises StackError when it holds something else.
    """
    made = Credentials(
        secret_key=secrets.token_hex(32), admin_username="admin", admin_password=secrets.token_urlsafe(12)
    )
    making = path.with_suffix(".new")
    making.unlink(missing_ok=True)
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(made), file)
    try:
        os.link(making, path)
    except FileExistsError:
        try:
            return Credentials(**json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise StackError(
                f"{path} does not hold the demo's credentials: remove it to get new ones"
            ) from error
    finally:
        making.unlink()
    return made
