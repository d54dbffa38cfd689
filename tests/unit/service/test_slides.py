from __future__ import annotations

import zlib
from io import BytesIO

import pytest
from captions import slides
from captions.errors import NotASlideError, SlideTooLargeError
from PIL import Image


def encoded(kind: str, size: tuple[int, int] = (8, 8)) -> BytesIO:
    file = BytesIO()
    Image.new("1", size).convert("RGB" if kind == "JPEG" else "1").save(file, kind)
    file.seek(0)
    return file


@pytest.mark.parametrize("kind", slides.FORMATS)
def test_the_content_says_what_it_is(kind: str) -> None:
    assert slides.media_type(encoded(kind)) == f"image/{kind.lower()}"


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"GIF89a"])
def test_anything_else_is_not_a_slide(content: bytes) -> None:
    with pytest.raises(NotASlideError, match="expected PNG"):
        slides.media_type(BytesIO(content))


def test_a_small_file_that_unpacks_to_too_much_is_refused() -> None:
    bomb = encoded("PNG", (10_000, 6_000))
    assert len(bomb.getvalue()) < 100_000
    with pytest.raises(SlideTooLargeError):
        slides.media_type(bomb)


def png(*, pieces: int) -> BytesIO:
    """One that says nothing so many times before its pixels."""
    nothing = b"\0\0\0\0quAd" + zlib.crc32(b"quAd").to_bytes(4)
    head = 33  # signature and IHDR
    whole = encoded("PNG").getvalue()
    return BytesIO(whole[:head] + nothing * pieces + whole[head:])


@pytest.mark.parametrize("file", [png(pieces=10_000), BytesIO(b"\xff\xd8" + b"\xff" * 100_000)], ids=["PNG", "JPEG"])
def test_a_header_in_too_many_pieces_is_not_read_to_its_end(file: BytesIO) -> None:
    """10 MiB of them would keep a thread, and the interpreter with it, for seconds."""
    with pytest.raises(NotASlideError):
        slides.media_type(file)
    assert 0 < file.tell() < len(file.getvalue()) / 2
    assert slides.media_type(png(pieces=100)) == "image/png"
