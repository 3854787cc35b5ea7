"""Requests to SQS go out by libcurl, and end as botocore's own would."""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import threading

import pytest
import trustme
from boto3 import Session
from botocore import exceptions
from botocore.config import Config

from apps.tasks import curl, queues, sqs
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from tests.faults.sqs_proxy import SILENCE
from tests.platform import in_front
from tests.support import wait_until
from tests.workload import tasks as work


def send():
    return queues.client().send_message(QueueUrl=queues.url("default"), MessageBody="x")


@pytest.fixture
def authority():
    """A certificate authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def secure_proxy(settings, authority):
    """The SQS server by HTTPS. To be asked for after what talks to it as it is."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with in_front(settings, tls=tls) as running:
        yield running


@pytest.fixture
def configured(authority, monkeypatch, tmp_path):
    """The authority is the one that SQS is judged by."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(file))
    curl.ca_bundle.cache_clear()
    yield
    curl.ca_bundle.cache_clear()


def test_one_connection_is_kept_for_each_thread(own_queues, proxy):
    send()
    before = len(proxy.connections)
    for _ in range(3):
        send()
    assert len(proxy.connections) == before
    other = threading.Thread(target=send)
    other.start()
    other.join()
    assert len(proxy.connections) == before + 1


def test_a_forked_process_leaves_its_parents_connection_alone(own_queues, configured, secure_proxy):
    """By TLS, where closing a connection is said to the server, whoever does it."""
    send()
    before = set(secure_proxy.connections)
    child = multiprocessing.get_context("fork").Process(target=send)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert len(secure_proxy.connections) == len(before) + 1
    after = set(secure_proxy.connections)
    send()
    assert secure_proxy.connections == after


def test_a_connection_that_the_server_closed_is_replaced(own_queues, proxy):
    send()
    proxy.fault, proxy.only = "gone", "SendMessage"
    with pytest.raises(queues.client().exceptions.QueueDoesNotExist):
        send()
    proxy.fault = None
    before = len(proxy.connections)
    assert send()["MessageId"]
    assert len(proxy.connections) == before + 1


def test_a_server_with_a_certificate_of_the_configured_authority_is_talked_to(
    own_queues, configured, secure_proxy
):
    assert send()["MessageId"]


def test_a_server_with_a_certificate_of_nobody_known_is_not(own_queues, secure_proxy):
    with pytest.raises(exceptions.SSLError, match="certificate"):
        send()
    assert not secure_proxy.requests


def test_relay_and_worker_talk_to_a_server_of_the_configured_authority(configured, secure_proxy, platform):
    platform.ready(platform.relay(), platform.worker())
    result = work.note.delay("a")
    wait_until(lambda: TaskRun.objects.get(pk=result.id).state == State.SUCCEEDED, what="the run to end")
    wait_until(lambda: secure_proxy.requests["DeleteMessageBatch"], what="the message to be deleted")
    assert {"SendMessageBatch", "ReceiveMessage"} <= secure_proxy.requests.keys()


def client(url, **timeouts):
    """One that asks once."""
    return sqs.make_client(
        Session(),
        region_name="us-east-1",
        endpoint_url=url,
        config=Config(retries={"total_max_attempts": 1}, **timeouts),
    )


def test_a_request_that_is_not_answered_is_given_up(own_queues, proxy):
    proxy.fault, proxy.only = SILENCE, ""
    with pytest.raises(exceptions.ReadTimeoutError):
        client(proxy.url, connect_timeout=0.2, read_timeout=0.2).get_queue_url(QueueName="any")


def test_a_handshake_that_does_not_end_is_given_up_like_a_connection():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(sqs.ERRORS, match="imeout"):
            client(url, connect_timeout=0.2, read_timeout=3600).get_queue_url(QueueName="any")


def test_a_server_that_is_not_there_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(exceptions.EndpointConnectionError):
        client(url, connect_timeout=1, read_timeout=1).get_queue_url(QueueName="any")


def test_what_is_said_before_the_answer_is_not_taken_for_it():
    def serve():
        connection, _ = server.accept()
        with connection:
            while b"\r\n\r\n" not in connection.recv(65536):
                pass
            body = b'{"QueueUrl": "http://x/1/q"}'
            connection.sendall(
                b"HTTP/1.1 100 Continue\r\nx-amzn-query-error: Early;Sender\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nX-Amzn-RequestId: 5\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        answer = client(url, connect_timeout=5, read_timeout=5).get_queue_url(QueueName="any")
        thread.join()
    assert answer["QueueUrl"] == "http://x/1/q"
    assert answer["ResponseMetadata"]["RequestId"] == "5"
    assert "x-amzn-query-error" not in answer["ResponseMetadata"]["HTTPHeaders"]
