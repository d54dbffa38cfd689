"""Honest clients, and one pod replaced by another under their load, as Kubernetes does it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from support.eventually import eventually
from support.tokens import bearer

if TYPE_CHECKING:
    from integration.service.programs import Web

PROPAGATION = 0.6
"""How long clients go on sending to a pod that has been told to go, in seconds."""

AUTHORIZATION = b"authorization: %s\r\n\r\n" % bearer()["authorization"].encode()


@dataclass
class Load:
    """Keep-alive POSTs with unique ids from honest clients: raw sockets, no retries, everything counted."""

    port: int
    outcomes: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    closed_by_server: int = 0
    stopping: bool = False

    async def client(self) -> None:
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while not self.stopping:
            try:
                if connection is None:
                    port = self.port
                    connection = await asyncio.open_connection("127.0.0.1", port)
                if await self._post(*connection):
                    connection[1].close()
                    connection = None
            except (OSError, EOFError) as error:
                self.outcomes[type(error).__name__] += 1
                if connection is not None:
                    connection[1].close()
                connection = None
            await asyncio.sleep(0.01)
        if connection is not None:
            connection[1].close()

    async def answered(self, count: int) -> None:
        await asyncio.to_thread(eventually, lambda: self.outcomes["201"] >= count)

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        number = str(uuid4())
        body = b'{"report_id":"%s","text":"typo"}' % number.encode()
        head = b"POST /reports HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        writer.write(head % len(body) + AUTHORIZATION + body)
        headers = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(headers.split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        status = headers.split(b" ", 2)[1].decode()
        self.outcomes[status] += 1
        if status == "201":
            self.acknowledged.add(number)
        closing = b"\r\nconnection: close\r\n" in headers
        self.closed_by_server += closing
        return closing


async def roll(old: Web, new: Web) -> Load:
    """Replace one pod by another under load, as Kubernetes does: the signal first, the endpoints a little later."""
    load = Load(old.port)
    clients = [asyncio.create_task(load.client()) for _ in range(12)]
    await load.answered(100)
    old.program.signal(signal.SIGTERM)
    await asyncio.sleep(PROPAGATION)
    load.port = new.port
    await asyncio.to_thread(old.program.ended)
    await load.answered(load.outcomes["201"] + 100)
    load.stopping = True
    await asyncio.gather(*clients)
    return load


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False
