"""Slides for the tests: known text, rendered as an image."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont


def slide(*lines: str, size: int = 48) -> bytes:
    """A PNG with these lines in black on white, in Pillow's own font."""
    font = ImageFont.load_default(size)
    width = max(int(font.getlength(line)) for line in lines) + 4 * size
    image = Image.new("L", (width, (2 * len(lines) + 2) * size), 255)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((2 * size, (1 + 2 * number) * size), line, fill=0, font=font)
    with BytesIO() as file:
        image.save(file, "PNG")
        return file.getvalue()
