"""Bodies as web servers hand them on: cut off, without a length, or too long."""

from __future__ import annotations

import json
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.http.body import ChunkedReader
from gunicorn.http.unreader import IterUnreader

from apps.tasks.testing import requested
from apps.webhooks.views import receive_signal
from tests.webhooks.helpers import Sender, logged, problem

pytestmark = pytest.mark.django_db


def test_a_body_that_is_cut_off_is_refused_and_logged(sender: Sender, rf):
    class Broken:
        def read(self, *_: Any) -> bytes:
            raise OSError("the other side has gone")

    request = rf.post(f"/webhooks/tradingview/{sender.token}", b"x" * 50, content_type="text/plain")
    request._stream = Broken()
    answer = receive_signal(request, "tradingview", sender.token)
    assert answer.status_code == 400
    assert "to its end" in answer.content.decode()
    assert [put["code"] for put in logged()] == ["malformed"]


def test_a_body_that_is_shorter_than_was_said_is_not_acted_upon(sender: Sender, client):
    """Web servers hand it on as it is, and without its end it says something else."""
    said = f"signal=buy symbol=BTC/USDT secret={sender.secret} quantity=15"
    source = {"wsgi.input": BytesIO(said[:-1].encode()), "CONTENT_LENGTH": str(len(said))}
    answer = sender.send(client, said, **source)
    assert "was cut off" in problem(answer, 400, "malformed-body")["detail"]
    (put,) = logged()
    assert (put["code"], put["size"], put["body"]) == ("malformed", len(said), "")
    assert not requested()


def test_chunks_that_the_server_cannot_read_are_refused_and_logged(sender: Sender, rf):
    request = rf.post(f"/webhooks/tradingview/{sender.token}", b"", content_type="text/plain")
    request.META.pop("CONTENT_LENGTH", None)
    read = ChunkedReader(SimpleNamespace(), IterUnreader(iter([b"zz\r\nbuy\r\n0\r\n\r\n"]))).read
    request.META |= {"wsgi.input": SimpleNamespace(read=read), "wsgi.input_terminated": True}
    assert receive_signal(request, "tradingview", sender.token).status_code == 400
    assert [put["code"] for put in logged()] == ["malformed"]


def test_a_body_without_a_length_is_read_as_far_as_it_may_go(sender: Sender, rf, settings):
    """As web servers hand on chunked ones."""
    for body, status in (
        (json.dumps(sender.signal()).encode(), 202),
        (b"x" * (settings.WEBHOOKS_MAX_BODY + 1), 413),
        (b"x" * 10_000_000, 413),
    ):
        request = rf.post(f"/webhooks/tradingview/{sender.token}", b"", content_type="text/plain")
        source = BytesIO(body)
        request.META.pop("CONTENT_LENGTH", None)
        request.META |= {"wsgi.input": source, "wsgi.input_terminated": True}
        assert receive_signal(request, "tradingview", sender.token).status_code == status
        assert source.tell() <= settings.WEBHOOKS_MAX_BODY + 1
    assert logged()[1]["size"] == settings.WEBHOOKS_MAX_BODY + 1
