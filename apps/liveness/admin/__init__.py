"""What operators see in Django's admin of who is alive."""

from __future__ import annotations

from apps.liveness.admin import board, scans, sessions

__all__ = ["board", "scans", "sessions"]
