from __future__ import annotations

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


@pytest.mark.parametrize(("kind", "name"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("TIFF", "image/tiff")])
def test_the_content_says_what_it_is(kind: str, name: str) -> None:
    assert slides.media_type(encoded(kind)) == name


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"GIF89a"])
def test_anything_else_is_not_a_slide(content: bytes) -> None:
    with pytest.raises(NotASlideError, match="expected PNG"):
        slides.media_type(BytesIO(content))


def test_a_small_file_that_unpacks_to_too_much_is_refused() -> None:
    bomb = encoded("PNG", (10_000, 6_000))
    assert len(bomb.getvalue()) < 100_000
    with pytest.raises(SlideTooLargeError):
        slides.media_type(bomb)
