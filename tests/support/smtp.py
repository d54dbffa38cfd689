"""A mail relay for tests: real SMTP over a real socket, answers as it is told, keeps what it took.

with Relay() as relay:
    relay.port              where to send to
    relay.gate.clear()      from now on clients connect and hear nothing
    relay.refusal = "550 no such mailbox"
    relay.messages          what was taken
"""

from __future__ import annotations

import socketserver
import threading
from contextlib import suppress
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from email.message import EmailMessage


class Relay:
    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.connections = 0
        self.refusal: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        relay = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                relay.connections += 1
                relay.gate.wait()
                with suppress(ConnectionError, ValueError):  # the client was killed
                    relay._converse(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Session)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def _converse(self, session: socketserver.StreamRequestHandler) -> None:
        def say(line: str) -> None:
            session.wfile.write(line.encode() + b"\r\n")

        say("220 relay")
        while line := session.rfile.readline():
            match line[:4].upper().strip():
                case b"DATA":
                    say("354 go on")
                    lines = list(iter(session.rfile.readline, b".\r\n"))
                    if not lines or not lines[-1]:
                        return
                    self.messages.append(message_from_bytes(b"".join(lines), policy=policy.default))
                    say("250 taken")
                case b"RCPT" if self.refusal:
                    say(self.refusal)
                case b"QUIT":
                    say("221 bye")
                    return
                case _:
                    say("250 ok")
