"""A working machine: the demo, and Django commands typed beside it."""

from __future__ import annotations

from pathlib import Path

import environ

# While the demo is up it keeps the addresses of its servers here, so that a command typed in
# another terminal meets the same database and queues. What is set already wins.
_demo = Path(__file__).resolve().parent.parent.parent / ".data" / "demo" / "env"
if _demo.is_file():
    environ.Env.read_env(str(_demo))

from .base import *  # noqa: E402, F403
from .base import INSTALLED_APPS  # noqa: E402
from .environment import env  # noqa: E402

SECRET_KEY = env.str("SECRET_KEY", default="development-only")
INSTALLED_APPS = [*INSTALLED_APPS, "apps.stack"]
STATUS_PUBLIC = env.bool("STATUS_PUBLIC", default=True)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
env.settle()
