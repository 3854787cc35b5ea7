"""HTTP for botocore by libcurl, with which kombu receives: it takes much less of the processor."""

from __future__ import annotations

import os
import threading
from functools import cache
from io import BytesIO
from typing import Any

import pycurl
from botocore import exceptions
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import BotoCoreError
from botocore.httpsession import get_cert_path
from botocore.session import get_session

#: Stands for a time-out after the connection was made, for which curl has no number of its own.
_UNANSWERED = -1
#: Botocore's errors for curl's.
_KINDS: dict[int, type[BotoCoreError]] = {
    _UNANSWERED: exceptions.ReadTimeoutError,
    pycurl.E_OPERATION_TIMEDOUT: exceptions.ConnectTimeoutError,
    pycurl.E_COULDNT_RESOLVE_HOST: exceptions.EndpointConnectionError,
    pycurl.E_COULDNT_CONNECT: exceptions.EndpointConnectionError,
    pycurl.E_SSL_CONNECT_ERROR: exceptions.SSLError,
    pycurl.E_PEER_FAILED_VERIFICATION: exceptions.SSLError,
    pycurl.E_SSL_CACERT_BADFILE: exceptions.SSLError,
    pycurl.E_GOT_NOTHING: exceptions.ConnectionClosedError,
    pycurl.E_PARTIAL_FILE: exceptions.ConnectionClosedError,
    pycurl.E_SEND_ERROR: exceptions.ConnectionClosedError,
    pycurl.E_RECV_ERROR: exceptions.ConnectionClosedError,
}


@cache
def ca_bundle() -> str:
    """The file of certificates that servers are judged by: the one botocore is configured for, or its own."""
    configured = get_session().get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    return str(configured or get_cert_path(True))


class _Body(BytesIO):
    """A body that has been received, as `AWSResponse` reads it."""

    def stream(self) -> list[bytes]:
        return [self.getvalue()]


class Sender:
    """A handler of botocore's ``before-send``, which sends the POST request instead of botocore.

    Requests are signed, tried again and parsed by botocore as ever, and what goes wrong is raised as its own
    errors. *connect_timeout* and *read_timeout* are in seconds; a request ends after both together. The
    interpreter's lock is given up once a request, for all of its time, where sockets give it up for every
    write and read: threads that send do not hinder each other.

    Usable from several threads, each with a connection of its own that is kept open.
    """

    def __init__(self, *, connect_timeout: float, read_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._timeout = connect_timeout + read_timeout
        self._local = threading.local()
        self._of_parents: list[pycurl.Curl] = []

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> Any:
        """Send *request* and return the whole answer, an AWSResponse. Raises BotoCoreError."""
        curl, headers, body = self._handle(), _Headers(), _Body()
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.POSTFIELDS, request.body)
        curl.setopt(pycurl.HTTPHEADER, _lines(request.headers))
        curl.setopt(pycurl.HEADERFUNCTION, headers.take)
        curl.setopt(pycurl.WRITEFUNCTION, body.write)
        try:
            curl.perform()
        except pycurl.error as exc:
            code, message = exc.args
            if code == pycurl.E_OPERATION_TIMEDOUT and curl.getinfo(pycurl.CONNECT_TIME) > 0:
                code = _UNANSWERED
            kind = _KINDS.get(code, exceptions.HTTPClientError)
            raise kind(endpoint_url=request.url, request=request, error=message) from exc
        return AWSResponse(request.url, curl.getinfo(pycurl.RESPONSE_CODE), headers.received, body)

    def _handle(self) -> pycurl.Curl:
        process, curl = getattr(self._local, "handle", (0, None))
        if process != os.getpid():
            if curl is not None:
                # Its connection is the parent process's. Closing it would tell the server that this ended it.
                self._of_parents.append(curl)
            curl = pycurl.Curl()
            curl.setopt(pycurl.NOSIGNAL, 1)
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(self._connect_timeout * 1000))
            curl.setopt(pycurl.TIMEOUT_MS, int(self._timeout * 1000))
            curl.setopt(pycurl.CAINFO, ca_bundle())
            self._local.handle = os.getpid(), curl
        return curl


class _Headers:
    """The headers of an answer; of several, as after ``100 Continue``, of the last."""

    def __init__(self) -> None:
        self.received: Any = {}

    def take(self, line: bytes) -> None:
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            self.received[name] = value.strip()
        elif name.startswith("HTTP/"):
            self.received.clear()


def _lines(headers: Any) -> list[str]:
    """The headers as curl takes them, without the one that it would add."""
    lines = ["Expect:"]
    for name, value in headers.items():
        lines.append(f"{name}: {value.decode('latin-1') if isinstance(value, bytes) else value}")
    return lines
