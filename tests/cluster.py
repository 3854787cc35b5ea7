"""A Redis Cluster on loopback, for the tests of those who may have to ask one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import redis

from apps.stack import sockets
from apps.stack.child import Service
from apps.stack.testing import Valkey
from tests.support import wait_until

_SLOTS = 16384


class Node(Valkey):
    """A node of a cluster, on a port of loopback."""

    def __init__(self, port: int, bus: int) -> None:
        super().__init__(durable=False)
        self.port, self.bus = port, bus

    @property
    def address(self) -> str:
        """Its URL for clients of clusters, who know no sockets but those of ports."""
        return f"redis://{sockets.HOST}:{self.port}/0"

    def _service(self) -> Service:
        service = super()._service()
        # Of an option that is given twice, the latter counts.
        own = {
            "bind": sockets.HOST,
            "port": self.port,
            "cluster-enabled": "yes",
            "cluster-port": self.bus,
            "cluster-config-file": "nodes.conf",
            "cluster-require-full-coverage": "no",
        }
        arguments = [str(part) for name, value in own.items() for part in (f"--{name}", value)]
        return replace(service, argv=(*service.argv, *arguments))


def start(stack: ExitStack, count: int) -> list[Node]:
    """So many nodes with the slots divided among them, of which each knows all."""
    # Held together and let go of just before: no two are the same.
    held = [sockets.listen() for _ in range(2 * count)]
    ports = [sockets.port_of(one) for one in held]
    for one in held:
        one.close()
    nodes = [stack.enter_context(Node(*pair)) for pair in zip(ports[::2], ports[1::2], strict=True)]
    clients = [stack.enter_context(redis.Redis.from_url(node.url())) for node in nodes]
    for index, client in enumerate(clients):
        first, after = index * _SLOTS // count, (index + 1) * _SLOTS // count
        client.execute_command("CLUSTER ADDSLOTSRANGE", first, after - 1)
        if index:
            client.execute_command("CLUSTER MEET", sockets.HOST, nodes[0].port, nodes[0].bus)

    def complete(client: redis.Redis) -> bool:
        info = client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and int(info["cluster_slots_ok"]) == _SLOTS

    wait_until(lambda: all(map(complete, clients)), what="the cluster to be complete")
    return nodes
