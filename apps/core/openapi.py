"""What all operations of the API have in common, put into the schema that the views make.

Views describe what is theirs. Here each operation is given the problems that any of its kind may answer, the
headers, the parameters that `ApiView` looks at, and a summary where its view has none.
"""

from __future__ import annotations

import re
from typing import Any

from apps.core.api import PROBLEM_DESCRIPTION, key_schema
from apps.core.problemtypes import PROBLEM_TYPES
from apps.core.views import ApiView

#: Tag -> what it is about, and the first parts of the addresses that it has.
AREAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Start": ("Where everything else is.", ("",)),
    "Identity": ("Who you are: signing in, and keys for programs.", ("auth",)),
    "Market data": (
        "Instruments, their candles, and fetching more of them. Reading is open to everybody.",
        ("instruments", "candles", "backfills"),
    ),
    "Backtests": (
        "Strategies on stored candles: single runs, many parameters, results, and links to share them.",
        ("backtests", "shared", "strategies", "sweeps"),
    ),
    "Trading": (
        "Accounts at exchanges, their orders, and what came of them; on paper unless told otherwise.",
        ("accounts", "orders", "positions", "fills"),
    ),
    "Webhooks": ("Addresses for signals, and what was sent to them.", ("webhooks",)),
    "Notifications": ("E-mails: what was sent, what is wanted, and what came back.", ("notifications",)),
    "Tasks": (
        "Durable runs, batches of them, and periodic tasks: for operators.",
        ("tasks", "batches", "periodic"),
    ),
    "Workers": ("Trading workers: who is alive, and who may write.", ("workers",)),
    "Audit": ("Who did what, when and from where.", ("audit",)),
}
_AREA_OF = {part: tag for tag, (_, parts) in AREAS.items() for part in parts}
_PREFIX = "/api/v1/"
#: Characters of a summary: what the pages of the reference show in one line.
LONGEST_SUMMARY = 70

#: Status -> name of the response that is the same everywhere, what it says, and its headers beside the usual.
_PROBLEMS: dict[int, tuple[str, str, tuple[str, ...]]] = {
    400: ("BadRequest", "A parameter, a header or the body is not valid: `errors` names it.", ()),
    401: ("Unauthorized", "Credentials are missing or wrong.", ("WWW-Authenticate",)),
    403: ("Forbidden", "This is not allowed to you.", ()),
    404: ("NotFound", "There is no such thing, or it is not yours.", ()),
    406: ("NotAcceptable", "`Accept` leaves nothing that could be answered.", ()),
    409: ("Conflict", "It contradicts what is there, or what came with the key before.", ()),
    412: ("PreconditionFailed", "It has changed: its `ETag` is not what `If-Match` names.", ()),
    413: ("ContentTooLarge", "The body is larger than is taken.", ()),
    415: ("UnsupportedMediaType", "The body's `Content-Type` is not taken here.", ()),
    429: ("TooManyRequests", "A limit is used up.", ("Retry-After", "RateLimit", "RateLimit-Policy")),
    503: ("Unavailable", "Something that is needed does not answer, or is not set up.", ("Retry-After",)),
}

_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The request's id: in the log, in the audit, in problems.",
        "schema": _TEXT,
    },
    "ETag": {"description": "Of this answer, for `If-None-Match` and `If-Match`.", "schema": _TEXT},
    "Link": {"description": 'Where there is more: `<…>; rel="next"`.', "schema": _TEXT},
    "Location": {"description": "Where to see what was made.", "schema": {"type": "string", "format": "uri"}},
    "Idempotency-Replayed": {
        "description": "`true` where this is about what an earlier request with the key did.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "RateLimit": {"description": "What is left of each limit.", "schema": _TEXT},
    "RateLimit-Policy": {"description": "The limits, each with its window.", "schema": _TEXT},
    "Retry-After": {"description": "Seconds after which it is worth to try again.", "schema": _COUNT},
    "WWW-Authenticate": {"description": "How to sign in.", "schema": _TEXT},
}

_PARAMETERS: dict[str, dict[str, Any]] = {
    "IdempotencyKey": {
        "in": "header",
        "name": "Idempotency-Key",
        "description": (
            "From 1 to 255 printable ASCII characters, no spaces. The same request with the same key is done"
            " once, and answered the same again for a day (IDEMPOTENCY_HOURS), with `Idempotency-Replayed`;"
            " another request with it is refused (409)."
        ),
        "schema": key_schema(),
    },
    "IfNoneMatch": {
        "in": "header",
        "name": "If-None-Match",
        "description": "The `ETag` of what the client has: 304 where that is still the answer.",
        "schema": _TEXT,
    },
    "IfMatch": {
        "in": "header",
        "name": "If-Match",
        "description": "The `ETag` of what the client has read: 412, and no change, where it is another now.",
        "schema": _TEXT,
    },
}

_PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457). Some have members of their own beside these.",
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "What kind of problem it is, and where that is explained.",
            "enum": [f"/problems/{name}" for name in PROBLEM_TYPES],
        },
        "title": {"type": "string", "description": "The same for every problem of the type."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What it is this time."},
        "request_id": {"type": "string", "description": "To be quoted to the operators."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {
                        "type": "string",
                        "description": "With dots between its parts; empty for the whole.",
                    },
                    "detail": {"type": "string"},
                },
                "required": ["field", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": True,
}
_IS_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_MEDIA_TYPE = "application/problem+json"


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """The schema with what is common to its operations: a hook of drf-spectacular."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["headers"] = _HEADERS
    components["parameters"] = _PARAMETERS
    components["responses"] = {
        name: _problem(status, description, headers)
        for status, (name, description, headers) in _PROBLEMS.items()
    }
    for path, _, method, callback in generator.endpoints:
        operation = result["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            _complete(operation, path, method, callback.cls)
    used = {
        tag for item in result["paths"].values() for operation in item.values() for tag in operation["tags"]
    }
    _let_be_null(result["components"]["schemas"])
    result["tags"] = [{"name": tag, "description": about} for tag, (about, _) in AREAS.items() if tag in used]
    return result


def _complete(operation: dict[str, Any], path: str, method: str, view: type[Any]) -> None:
    first = path.removeprefix(_PREFIX).partition("/")[0]
    operation["tags"] = [_AREA_OF.get(first, first)]
    operation.setdefault("summary", _summary(operation["description"]))
    ours = issubclass(view, ApiView)
    responses: dict[str, Any] = operation["responses"]
    names = {one.get("name") for one in operation.get("parameters", ())}
    signs_in = [one for one in operation.get("security", ()) if one]

    def parameter(name: str) -> None:
        if _PARAMETERS[name]["name"] not in names:
            operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{name}"})

    statuses = {400, 406, 429, 503}
    if signs_in:
        statuses |= {401, 403}
    if "{" in path:
        statuses.add(404)
    if "requestBody" in operation:
        statuses |= {413, 415}
    if method == "POST" and ours and view.keeps_answers:
        parameter("IdempotencyKey")
        statuses |= {409, 413}
    if method == "GET" and ours and not view.passing:
        parameter("IfNoneMatch")
        responses.setdefault("304", {"description": "The client has it.", "headers": _refs("ETag")})
    if method in ("PUT", "PATCH", "DELETE") and hasattr(view, "get"):
        parameter("IfMatch")
        statuses.add(412)
    for status, response in responses.items():
        if status < "400":
            headers = _refs(*_headers(method, status, names, ours=ours))
            response["headers"] = {**headers, **response.get("headers", {})}
    for code in statuses | {int(one) for one in responses if one >= "400"}:
        responses[str(code)] = _as_problem(code, responses.get(str(code), {}))
    operation["responses"] = dict(sorted(responses.items()))


def _summary(description: str) -> str:
    """The first sentence, without full stop; of a long one what stands before a colon or semicolon."""
    sentence = re.split(r"\.(?: |$)", description, maxsplit=1)[0]
    if len(sentence) > LONGEST_SUMMARY:
        sentence = re.split("[:;] ", sentence, maxsplit=1)[0]
    return sentence.replace("`", "")


def _let_be_null(described: Any) -> None:
    """Say of what refers to another schema and may be null that it may: ``nullable`` alone would not do."""
    if isinstance(described, dict):
        if described.get("nullable") and "allOf" in described and "type" not in described:
            del described["nullable"]
            described["oneOf"] = [*described.pop("allOf"), {"enum": [None]}]
        for one in described.values():
            _let_be_null(one)
    elif isinstance(described, list):
        for one in described:
            _let_be_null(one)


def _headers(method: str, status: str, parameters: set[Any], *, ours: bool) -> list[str]:
    headers = ["X-Request-ID", "RateLimit", "RateLimit-Policy"]
    if method == "GET" and ours:
        headers.append("ETag")
        if status == "200" and "cursor" in parameters:
            headers.append("Link")
    if method == "POST" and ours:
        headers.append("Idempotency-Replayed")
        if status in ("201", "202"):
            headers.append("Location")
    return headers


def _refs(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _as_problem(status: int, described: dict[str, Any]) -> dict[str, Any]:
    """The response of *status*, given what a view says of it."""
    name, description, headers = _PROBLEMS[status]
    content = described.get("content", {}).get(_MEDIA_TYPE)
    own = described.get("description", "")
    if content is None and own in ("", PROBLEM_DESCRIPTION):
        return {"$ref": f"#/components/responses/{name}"}
    schema = _IS_PROBLEM if content is None else {"anyOf": [content["schema"], _IS_PROBLEM]}
    return _problem(status, own or description, headers, schema)


def _problem(
    status: int, description: str, headers: tuple[str, ...], schema: dict[str, Any] = _IS_PROBLEM
) -> dict[str, Any]:
    kind = next(one for one in PROBLEM_TYPES.values() if status in one.statuses)
    example = {
        "type": f"/problems/{kind.name}",
        "title": kind.title,
        "status": status,
        "detail": kind.meaning,
    }
    return {
        "description": description,
        "headers": _refs("X-Request-ID", *headers),
        "content": {_MEDIA_TYPE: {"schema": schema, "example": example}},
    }
