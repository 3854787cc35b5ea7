"""How the OpenAPI schema tells of credentials, and which scope each operation needs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from apps.core import scopes

_TOKEN = "token"  # noqa: S105 (the name of a scheme)
_PASSWORD = {"type": "http", "scheme": "basic"}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Login tokens and keys, in either spelling of the header."""

    target_class = "apps.identity.authentication.TokenAuthentication"
    name = [_TOKEN, "bearer"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "A login token or an API key: `Token chd_…`.",
            },
            {"type": "http", "scheme": "bearer", "description": "The same: `Bearer chd_…`."},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        """Either of them."""
        return [{name: []} for name in self.name]


class PasswordScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Name and password, where the installation takes them."""

    target_class = "apps.identity.authentication.PasswordAuthentication"
    name = "basicAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {**_PASSWORD, "description": "Where API_BASIC_AUTH is on."}


class LoginScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Name and password, to sign in."""

    target_class = "apps.identity.authentication.LoginAuthentication"
    name = "loginAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {**_PASSWORD, "description": "To sign in."}


def tell_scopes(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Have operations that take tokens say which scope keys need: in words, and as ``x-required-scope``."""
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if not any(_TOKEN in one for one in operation.get("security", [])):
                continue
            scope = scopes.required(path.removeprefix("/"), method.upper())
            words = "API keys are not taken." if scope is None else f"A key needs the scope `{scope}`."
            if scope:
                operation["x-required-scope"] = scope
            if scope != "":
                operation["description"] = f"{operation.get('description', '')} {words}".strip()
    return result
