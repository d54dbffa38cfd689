"""What counts as a slide. Only the header is read here, in a thread; the pixels are the job's work, in its child."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PIL import Image

from captions.errors import NotASlideError, SlideTooLargeError

if TYPE_CHECKING:
    from typing import BinaryIO

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_PIXELS: Final = 50_000_000
FORMATS: Final = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")

Image.MAX_IMAGE_PIXELS = None  # our own limit is lower than the one that Pillow warns at, and is an answer


def media_type(file: BinaryIO) -> str:
    """The slide's media type, from its content: a client's word for it is not evidence.

    Raises:
        NotASlideError: it is no image of a known format.
        SlideTooLargeError: it would unpack to too many pixels.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height, name = *image.size, image.format
    except (OSError, ValueError, SyntaxError):  # what Pillow's readers raise on foreign bytes
        raise NotASlideError from None
    if width * height > MAX_PIXELS:
        raise SlideTooLargeError
    return Image.MIME[str(name)]
