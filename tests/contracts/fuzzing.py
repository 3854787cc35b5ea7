"""Requests made up from the OpenAPI schema, by schemathesis: what it allows, and what it does not.

Each goes through the whole WSGI application and back, within a savepoint that is undone: all see the same
world. It is imported where it is used: schemathesis takes a second to load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import schemathesis
import yaml
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

SCHEMA = Path(settings.BASE_DIR) / "project" / "openapi.yaml"
#: Of the cases that follow from the schema, one after the other, so many are sent, and then each fourth.
_ALL, _STEP = 24, 4
#: Each of so many cases is sent by the others, too.
_OTHERS = 6

CONFIG: dict[str, Any] = {
    "output": {"sanitization": {"enabled": False}},
    "checks": {
        # Whether it is still what the client has seen is looked at before the body (RFC 9110, 13.2.2).
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "406", "409", "412", "413", "415"]
        },
    },
    "operations": [
        {
            # Of an upload each row is judged: one that is none is told as such, and the others are stored.
            "include-operation-id": "candles_upload",
            "checks": {"negative_data_rejection": {"enabled": False}},
        },
    ],
    "phases": {
        # `test_hostile` sends all other methods.
        "coverage": {"unexpected-methods": ["TRACE"]},
    },
}
#: Values that a schema allows may be wrong all the same: no instrument of that name, an end before the start.
EXCLUDED = [positive_data_acceptance]


@contextmanager
def application() -> Iterator[WSGIHandler]:
    """The WSGI application, which leaves the connection of the test open.

    Django's test client must not be used meanwhile: it connects again what is disconnected here.
    """
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield WSGIHandler()
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


class Fuzzer:
    """Asks for *known* things, by their ids, as each of *callers*: name -> ``Authorization``.

    The first caller sends all cases, the others, and nobody, some of them.
    """

    def __init__(
        self, app: Any, *, known: dict[str, str], callers: dict[str, str], examples: int, seed: int
    ) -> None:
        self.known, self.callers = known, callers
        self.failures: dict[tuple[str, ...], str] = {}
        self.statuses: Counter[tuple[str, int]] = Counter()
        config = SchemathesisConfig.from_dict({**CONFIG, "seed": seed})
        self.schema = schemathesis.openapi.from_dict(
            yaml.load(SCHEMA.read_text(), yaml.CSafeLoader), config=config
        )
        self.schema.app = app
        self._settings = hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        )
        self._seed = seed

    def operations(self) -> list[Any]:
        """All of them, in the order of the schema."""
        return [result.ok() for result in self.schema.get_all_operations()]

    def run(self, operations: Sequence[Any]) -> None:
        """Send the cases of these operations, and note what is wrong with the answers."""
        for operation in operations:
            self._count, self._verified = 0, False
            config = HypothesisTestConfig(
                project=self.schema.config,
                modes=list(HypothesisTestMode),
                settings=self._settings,
                seed=self._seed,
            )
            create_test(operation=operation, test_func=self._case, config=config)()

    def _case(self, case: Any) -> None:
        self._count += 1
        if case.meta.phase.name == TestPhase.COVERAGE and self._count > _ALL and self._count % _STEP:
            return
        self._use_known(case)
        first, *others = self.callers
        self._send(case, first)
        if self._count % _OTHERS == 1:
            for caller in (*others, ""):
                self._send(case, caller)

    def _use_known(self, case: Any) -> None:
        """Let the case be about things that there are, but where it is about wrong names of them."""
        known = self.known
        if case.path_parameters and not case.meta.is_negative_at(ParameterLocation.PATH):
            for name in case.path_parameters.keys() & known.keys():
                case.path_parameters[name] = known[name]
        sound = not case.meta.is_negative_at(ParameterLocation.QUERY)
        if sound and self._count % 2 and "instrument" in (case.query or {}):
            case.query["instrument"] = known["instrument"]
        body = case.body
        if isinstance(body, dict) and not case.meta.is_negative_at(ParameterLocation.BODY):
            if "account" in body:
                body["account"] = known["account_id"]
            if "instrument" in body:
                body["instrument"] = known["instrument"]

    def _send(self, case: Any, caller: str) -> None:
        headers = {"Accept-Encoding": "identity"}
        if caller:
            headers["Authorization"] = self.callers[caller]
        label = case.operation.label
        # Probes of authentication are requests, too.
        with transaction.atomic():
            response = case.call(headers=headers)
            self.statuses[caller, response.status_code] += 1
            excluded = [*EXCLUDED, ignored_auth] if self._verified else EXCLUDED
            try:
                case.validate_response(response, headers=headers, excluded_checks=excluded)
            except FailureGroup as group:
                for failure in group.exceptions:
                    name, text = type(failure).__name__, str(getattr(failure, "message", failure))
                    told = f"{case.as_curl_command(headers)}\n{response.status_code} {response.text[:500]}"
                    self.failures.setdefault((label, caller, name, text[:300]), told)
            transaction.set_rollback(True)
        self._verified |= bool(caller) and response.status_code < 300
        needed = case.operation.definition.raw.get("security", [])
        if not caller and needed and {} not in needed and response.status_code < 400:
            self.failures[(label, "nobody", str(response.status_code))] = case.as_curl_command(headers)
