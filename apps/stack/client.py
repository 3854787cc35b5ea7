"""A small HTTP client: JSON in, JSON out, errors in words."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

NOT_FOUND = 404
_TIMEOUT = 30.0


class RequestFailed(Exception):
    """The server refused or failed, with a *status*, or did not answer."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Requests to one server, with a token once signed in."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._authorization = ""

    def sign_in(self, username: str, password: str) -> None:
        """Exchange name and password for a token. Raises `RequestFailed`."""
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._authorization = f"Basic {pair}"
        self._authorization = f"Token {self.post('/api/v1/auth/login', {})['token']}"

    def get(self, path: str, **query: str) -> Any:
        """GET *path* (or a whole URL of this server). Raises `RequestFailed`."""
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        return self._request("GET", f"{path}{suffix}", None)

    def find(self, path: str) -> Any:
        """GET *path*; None where there is nothing (404). Raises `RequestFailed` for any other failure."""
        try:
            return self.get(path)
        except RequestFailed as exc:
            if exc.status == NOT_FOUND:
                return None
            raise

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST *body*. Raises `RequestFailed`."""
        return self._request("POST", path, json.dumps(body).encode())

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """PATCH *body*. Raises `RequestFailed`."""
        return self._request("PATCH", path, json.dumps(body).encode())

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """PUT *body*. Raises `RequestFailed`."""
        return self._request("PUT", path, json.dumps(body).encode())

    def delete(self, path: str) -> None:
        """DELETE what is there. Raises `RequestFailed`."""
        self._request("DELETE", path, None)

    def _request(self, method: str, path: str, body: bytes | None) -> Any:
        url = path if path.startswith("http") else f"{self.base_url}{path}"
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        request = urllib.request.Request(url, data=body, headers=headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                content = answer.read()
                return json.loads(content) if content else None
        except urllib.error.HTTPError as exc:
            text = exc.read().decode(errors="replace")
            try:
                text = json.loads(text)["detail"]
            except (ValueError, KeyError, TypeError):
                text = text[:200]
            raise RequestFailed(f"{method} {url}: {exc.code} {text}", status=exc.code) from exc
        except (OSError, ValueError) as exc:
            raise RequestFailed(f"{method} {url}: {exc}") from exc
