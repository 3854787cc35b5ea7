"""Asking the candle API, and reading its problems."""

from __future__ import annotations

from typing import Any

CANDLES, INSTRUMENTS, BACKFILLS = "/api/v1/candles", "/api/v1/instruments", "/api/v1/backfills"
LATEST = f"{CANDLES}/latest"


def problem_of(response: Any, status: int, *fields: str) -> dict[str, Any]:
    """The problem, after a check that it names these fields and no others."""
    assert response.status_code == status, response.content
    assert response["Content-Type"].startswith("application/problem+json")
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert {error["field"] for error in body.get("errors", [])} == set(fields), body
    assert all(error["detail"] for error in body.get("errors", []))
    return body
