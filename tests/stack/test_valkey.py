from __future__ import annotations

from pathlib import Path

import redis

from apps.stack.testing import Valkey


def _client(server: Valkey) -> redis.Redis:
    return redis.Redis.from_url(server.environ["REDIS_URL"], socket_timeout=5)


def test_it_serves_on_a_unix_socket_and_on_no_port() -> None:
    with Valkey() as server, _client(server) as client:
        assert client.ping()
        assert client.config_get("port") == {"port": "0"}


def test_a_write_survives_a_kill() -> None:
    with Valkey() as server, _client(server) as client:
        client.set("order", "accepted")
        server.kill()
        server.start()
        assert client.get("order") == b"accepted"


def test_without_durability_it_writes_no_file(tmp_path: Path) -> None:
    with Valkey(tmp_path, durable=False) as server, _client(server) as client:
        client.set("order", "accepted")
        assert server.stop()
    assert not list((tmp_path / "valkey").iterdir())
