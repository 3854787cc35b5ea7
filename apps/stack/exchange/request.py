"""What comes in over HTTP."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it was sent: *query* and *body* are not decoded, a GET's body is empty.

    *address* is who sent it, *key* its ``X-MBX-APIKEY``.
    """

    method: str
    path: str
    query: str
    body: str = ""
    address: str
    key: str | None = None

    @property
    def parameters(self) -> str:
        """The parameters of query and body, as one query."""
        return "&".join(part for part in (self.query, self.body) if part)

    @property
    def endpoint(self) -> str:
        """What it is counted as: the path, with the method before it where that is not GET."""
        return self.path if self.method == "GET" else f"{self.method} {self.path}"
