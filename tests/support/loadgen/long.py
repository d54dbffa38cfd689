"""Clients that stay: requests longer than a drain, uploads that stall, endless streams, WebSockets, jobs.

A WebSocket that is closed with 1012 comes again, and says again what it had no answer to; a stream that ends as HTTP
wants it is begun again. Anything else is a failure.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import uuid
from typing import TYPE_CHECKING

from wire import FailedError, Target, fresh, head, read_answer, read_exactly, read_head, resets

if TYPE_CHECKING:
    from tally import Book

PATIENCE = 60.0
"""Seconds for one request of these, its own duration left out."""

SERVICE_RESTART = 1012
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


async def slow(target: Target, *, text: str, seconds: float) -> str:
    """A POST whose answer takes its time; its id."""
    report, body = _report(text, seconds=seconds)
    async with asyncio.timeout(seconds + PATIENCE), fresh(target, seconds=PATIENCE) as (reader, writer):
        writer.write(head("POST", "/slow", target, length=len(body), Content_Type="application/json") + body)
        await _expect(reader, 201, report)
    return report


async def stalled(target: Target, *, text: str, seconds: float) -> str:
    """A POST whose body stops half-way for a while; its id."""
    report, body = _report(text)
    async with asyncio.timeout(seconds + PATIENCE), fresh(target, seconds=PATIENCE) as (reader, writer):
        writer.write(head("POST", "/reports", target, length=len(body), Content_Type="application/json") + body[:20])
        await writer.drain()
        await asyncio.sleep(seconds)
        writer.write(body[20:])
        await _expect(reader, 201, report)
    return report


async def job(target: Target, slide: bytes) -> None:
    """A slide whose text is to be recognised; what becomes of the job, the database tells."""
    mark = uuid.uuid4().hex
    part = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="slide.png"\r\n'
    body = f"{part}Content-Type: image/png\r\n\r\n".encode() + slide + f"\r\n--{mark}--\r\n".encode()
    async with asyncio.timeout(PATIENCE), fresh(target, seconds=PATIENCE) as (reader, writer):
        kind = f"multipart/form-data; boundary={mark}"
        writer.write(head("POST", "/jobs", target, length=len(body), Content_Type=kind) + body)
        await _expect(reader, 202)


async def stream(target: Target, *, seconds: float) -> None:
    """An answer in chunks; complete with its last one, whenever that comes."""
    async with asyncio.timeout(seconds + PATIENCE), fresh(target, seconds=PATIENCE) as (reader, writer):
        writer.write(head("GET", f"/stream?seconds={seconds}", target))
        status, headers = await read_head(reader)
        if status != 200 or headers.get("transfer-encoding") != "chunked":
            raise FailedError(f"status {status}")
        while size := int(await _line(reader), 16):
            await read_exactly(reader, size + 2)
        await _line(reader)


async def websocket(target: Target, book: Book, *, every: float) -> None:
    """Says something now and then, and expects it back, until the server wants it to come again."""
    said: str | None = None
    while True:
        book.tallies["websocket handshake"].sent += 1
        async with fresh(target, seconds=PATIENCE) as (reader, writer):
            await _upgrade(target, reader, writer)
            book.success("websocket handshake")
            while True:
                said = said or uuid.uuid4().hex
                with resets():
                    writer.write(_frame(_TEXT, said.encode()))
                    await writer.drain()
                async with asyncio.timeout(PATIENCE):
                    code, payload = await _data(reader, writer)
                if code == _CLOSE:
                    _check_close(payload)
                    break
                if payload.decode() != said:
                    raise FailedError("wrong answer")
                book.tallies["websocket message"].sent += 1
                book.success("websocket message")
                said = None
                closing = await _closed_within(reader, writer, seconds=every)
                if closing is not None:
                    _check_close(closing)
                    break


async def _upgrade(target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Key": key, "Sec_WebSocket_Version": "13"}
    writer.write(head("GET", "/echo", target, **asked))
    async with asyncio.timeout(PATIENCE):
        status, _ = await read_head(reader)
    if status != 101:
        raise FailedError(f"status {status}")


async def _closed_within(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, seconds: float) -> bytes | None:
    """The payload of the frame that closes the connection, if it comes while nothing is said."""
    try:
        async with asyncio.timeout(seconds):
            _, payload = await _data(reader, writer)
            return payload
    except TimeoutError:
        return None


def _check_close(payload: bytes) -> None:
    code = struct.unpack("!H", payload[:2])[0] if len(payload) > 1 else 0
    if code != SERVICE_RESTART:
        raise FailedError(f"closed with {code}")


async def _data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bytes]:
    """The next frame that is no ping; the opening bytes tell all of it, since what is echoed is short."""
    while True:
        try:
            first, length = await reader.readexactly(2)
        except asyncio.IncompleteReadError:
            raise FailedError("closed") from None
        payload = await read_exactly(reader, length)
        if first & 0x0F != _PING:
            return first & 0x0F, payload
        writer.write(_frame(_PONG, payload))


def _frame(code: int, payload: bytes) -> bytes:
    """One masked frame, as clients must send them."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([0x80 | code, 0x80 | len(payload)]) + mask + masked


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n"))[:-2]
    except asyncio.IncompleteReadError:
        raise FailedError("truncated") from None


def _report(text: str, **more: object) -> tuple[str, bytes]:
    report = str(uuid.uuid4())
    return report, json.dumps({"report_id": report, "text": text, **more}).encode()


async def _expect(reader: asyncio.StreamReader, status: int, report: str | None = None) -> None:
    answer = await read_answer(reader)
    if answer.status != status:
        raise FailedError(f"status {answer.status}")
    if report is not None and json.loads(answer.body).get("report_id") != report:
        raise FailedError("wrong answer")
