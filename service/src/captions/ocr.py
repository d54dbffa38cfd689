"""The work of a slide's job: image in, text out. Runs in a child process of the worker, one core, no connection."""

from __future__ import annotations

import subprocess
from io import BytesIO
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps
from plimsoll_runtime.jobs.model import PermanentError

if TYPE_CHECKING:
    from plimsoll_runtime.jobs.model import Json, StepInput

Image.MAX_IMAGE_PIXELS = None  # the upload was measured when it was taken


def recognise(step: StepInput) -> Json:
    """Read the slide's text with tesseract.

    Raises:
        PermanentError: the image is damaged.
        RuntimeError: tesseract failed, for reasons that another attempt may not meet.
    """
    page = Path("page.png")  # the working directory is this attempt's own
    try:
        with Image.open(BytesIO(step.payload)) as image:
            ImageOps.exif_transpose(image).convert("L").save(page, compress_level=1)
    except (OSError, ValueError, SyntaxError) as error:
        raise PermanentError(f"the image is damaged: {error}") from error
    step.report(0.1)
    done = subprocess.run(  # noqa: S603 - a fixed command line
        ["tesseract", str(page), "stdout", "-l", "eng"],  # noqa: S607 - where it lies differs by base image
        env=dict(environ) | {"OMP_THREAD_LIMIT": "1"},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    if done.returncode:
        raise RuntimeError(f"tesseract ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return {"text": done.stdout.strip()}
