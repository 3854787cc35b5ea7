"""Whether a process answers: ``python -m project.probe URL`` ends with status 0 where it says 2xx.

For health checks in containers, which have no curl. Standard library only: it starts in a moment.
"""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

_TIMEOUT = 4.0


def answers(url: str, *, timeout: float = _TIMEOUT) -> str:
    """What is wrong; empty where *url* answers 2xx within *timeout* seconds. Follows no redirects."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        body = response.read(2048).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as exc:
        return f"{type(exc).__name__}: {exc}"
    finally:
        connection.close()
    return "" if 200 <= response.status < 300 else f"{response.status} {body}"


if __name__ == "__main__":
    fault = answers(sys.argv[1])
    if fault:
        sys.exit(fault)
