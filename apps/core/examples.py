"""Examples of requests and answers, put into the OpenAPI schema.

Each app has those of its operations in ``examples.yaml``: by ``operationId`` the ``request``, where the
operation takes a body, and the ``responses`` by status. What they show is one installation, so that ids,
markets and times fit together.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from django.apps import apps

_FILE = "examples.yaml"
_RESPONSES = "#/components/responses/"


@cache
def read() -> dict[str, dict[str, Any]]:
    """Request and responses by ``operationId``, of all apps. Raises ValueError where two apps have one."""
    found: dict[str, dict[str, Any]] = {}
    for app in apps.get_app_configs():
        path = Path(app.path) / _FILE
        if not path.exists():
            continue
        examples = yaml.load(path.read_bytes(), yaml.CSafeLoader)
        if twice := found.keys() & examples.keys():
            raise ValueError(f"{path} has examples that another app has: {', '.join(sorted(twice))}.")
        found |= examples
    return found


def show(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The schema with the examples: a hook of drf-spectacular, after those that complete it."""
    shared = result["components"]["responses"]
    for operations in result["paths"].values():
        for operation in operations.values():
            examples = read().get(operation["operationId"], {})
            if "request" in examples:
                _put(operation["requestBody"], examples["request"])
            for status, example in examples.get("responses", {}).items():
                response = operation["responses"][status]
                if "$ref" in response:
                    response = deepcopy(shared[response["$ref"].removeprefix(_RESPONSES)])
                    operation["responses"][status] = response
                _put(response, example)
    return result


def _put(described: dict[str, Any], example: Any) -> None:
    """Add the example to the first JSON of what is *described*."""
    media_type = next(name for name in described["content"] if name.endswith("json"))
    described["content"][media_type]["example"] = example
