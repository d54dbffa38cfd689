"""What counts as a slide. Only the header is read here, in a thread; the pixels are the job's work, in its child."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from PIL import Image

from captions.errors import NotASlideError, SlideTooLargeError

if TYPE_CHECKING:
    from typing import BinaryIO

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_PIXELS: Final = 50_000_000
MAX_PIECES: Final = 5000
"""How often Pillow may read of a header: a photograph's takes a hundred, and each costs the interpreter's time."""

FORMATS: Final = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")

Image.MAX_IMAGE_PIXELS = None  # our own limit is lower than the one that Pillow warns at, and is an answer


def media_type(file: BinaryIO) -> str:
    """The slide's media type, from its content: a client's word for it is not evidence.

    Raises:
        NotASlideError: it is no image of a known format.
        SlideTooLargeError: it would unpack to too many pixels.
    """
    try:
        with Image.open(cast("BinaryIO", _Header(file)), formats=FORMATS) as image:
            width, height, name = *image.size, image.format
    except (OSError, ValueError, SyntaxError):  # what Pillow's readers raise on foreign bytes
        raise NotASlideError from None
    if width * height > MAX_PIXELS:
        raise SlideTooLargeError
    return Image.MIME[str(name)]


class _Header:
    """What Pillow reads of a file, so many times and no more: of one that is nothing but markers it would read all."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file = file
        self._left = MAX_PIECES

    def read(self, size: int = -1) -> bytes:
        """As a file's.

        Raises:
            OSError: that was once too often.
        """
        self._left -= 1
        if self._left < 0:
            raise OSError("a header in too many pieces")
        return self._file.read(size)
