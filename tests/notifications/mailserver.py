"""A mail server in this process, which says to each command what the test wants."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Answers(socketserver.ThreadingTCPServer):
    """Takes every mail, except where an answer is set."""

    daemon_threads = True

    def __init__(self) -> None:
        #: Answers to the commands; empty: it is taken. ``silence`` is none at all, after the whole mail.
        self.mail = self.rcpt = self.data = ""
        #: How many connections were made, the commands that came, and the mails that were taken, or that were
        #: left without an answer.
        self.connections = 0
        self.commands: list[str] = []
        self.taken: list[str] = []
        self.unanswered: list[str] = []
        self._open: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), _Session)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        self._open.append(request)
        super().process_request(request, client_address)

    def drop(self) -> None:
        """End the connections that are open, as a server does with idle ones."""
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()


class _Session(socketserver.StreamRequestHandler):
    server: Answers

    def handle(self) -> None:
        self._say("220 test.invalid")
        while line := self.rfile.readline().decode():
            command = line.split()[0].upper()
            self.server.commands.append(command)
            if command == "QUIT":
                return self._say("221 bye")
            if command == "DATA" and not self.server.mail + self.server.rcpt:
                self._say("354 go on")
                content = "".join(part.decode() for part in iter(self.rfile.readline, b".\r\n"))
                if self.server.data == "silence":
                    self.server.unanswered.append(content)
                    # Until the client has had enough.
                    self.rfile.read()
                    return None
                if not self.server.data:
                    self.server.taken.append(content)
                self._say(self.server.data or "250 kept")
            else:
                said = {"MAIL": self.server.mail, "RCPT": self.server.rcpt}.get(command, "")
                self._say(said or "250 OK")
        return None

    def _say(self, line: str) -> None:
        with suppress(OSError):
            self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def answering(settings: Any) -> Iterator[Answers]:
    """The server, which the product's mails go to within the block."""
    with Answers() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address[:2]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.drop()
            server.shutdown()
            thread.join()
