"""Listening sockets that the supervisor opens and its children inherit.

The number of a port is thereby settled before the child runs, nobody else can take it in between, and it
survives the child: while that restarts, clients wait in the backlog instead of being refused.
"""

from __future__ import annotations

import socket

from apps.stack.errors import StackError

HOST = "127.0.0.1"


def listen(port: int = 0, *, fallback: bool = False) -> socket.socket:
    """A socket listening on the loopback *port*; 0 is any free one.

    With *fallback* a port in use is replaced by a free one. Raises StackError when it cannot be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        if fallback and port:
            return listen()
        raise StackError(f"port {port} cannot be used: {error.strerror}") from error
    listener.listen(256)
    return listener


def port_of(listener: socket.socket) -> int:
    """The port on which *listener* listens."""
    port: int = listener.getsockname()[1]
    return port


def inherited(fd: int | None, port: int | None) -> socket.socket:
    """A server's side of it: the socket inherited as *fd*, else a new one on *port*."""
    if fd is None:
        return listen(port or 0)
    return socket.socket(fileno=fd)
