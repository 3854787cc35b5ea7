"""Steps of a run whose effects lie outside of the database, each done once across all attempts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, OperationalError

from apps.core.resources import sql
from apps.tasks import conf
from apps.tasks.claims import Claim
from apps.tasks.errors import Fenced, PermanentError, ResultTooLarge
from apps.tasks.run import close_side_connection, side_connection

logger = logging.getLogger(__name__)


def once(
    claim: Claim,
    name: str,
    do: Callable[[], Any],
    look_up: Callable[[], Any] | None,
) -> Any:
    """The result of the step *name* of a run: the one that is kept, or else that of *do*, which is kept then.

    Where an earlier attempt began the step and left no result, *look_up* is asked first, if there is one.
    """
    if not name:
        raise ValueError("a step needs a name")
    first, finished, result = _begin(claim, name)
    if finished:
        return result
    found = None if first or look_up is None else look_up()
    return _finish(claim, name, do() if found is None else found)


def _begin(claim: Claim, name: str) -> tuple[bool, bool, Any]:
    row = _execute("begin_step.sql", {"id": claim.run_id, "fence": claim.fence, "name": name})
    if row is None:
        raise Fenced(f"run {claim.run_id} is no longer held by attempt {claim.attempt}: {name} is not begun")
    first, finished, result = row
    return first, finished, _decoded(result)


def _finish(claim: Claim, name: str, result: Any) -> Any:
    try:
        encoded = json.dumps(result, cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError) as exc:
        # Not to be tried again: it has happened.
        raise PermanentError(f"step {name} has happened, but its result is not JSON: {exc}") from exc
    if len(encoded) > conf.result_limit():
        raise ResultTooLarge(
            f"step {name} has happened, but its result is {len(encoded):,} characters of JSON,"
            f" the limit is {conf.result_limit():,}"
        )
    row = _execute("finish_step.sql", {"id": claim.run_id, "name": name, "result": encoded})
    if row is None:
        raise Fenced(f"run {claim.run_id} is gone, and its step {name} with it")
    return _decoded(row[0])


def _execute(statement: str, parameters: dict[str, Any]) -> Any:
    """One statement on the side connection, on a new one where the server was restarted meanwhile.

    Doing either statement twice does no harm.
    """
    try:
        return _fetch(statement, parameters)
    except (InterfaceError, OperationalError) as exc:
        if side_connection().in_atomic_block:
            raise
        logger.warning("step: %s; trying once more", exc)
        close_side_connection()
        return _fetch(statement, parameters)


def _fetch(statement: str, parameters: dict[str, Any]) -> Any:
    with side_connection().cursor() as cursor:
        cursor.execute(sql(__package__, statement), parameters)
        return cursor.fetchone()


def _decoded(result: Any) -> Any:
    return json.loads(result) if isinstance(result, str) else result
