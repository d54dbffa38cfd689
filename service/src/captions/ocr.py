"""The work of a slide's job: image in, text out. Runs in a child process of the worker, one core, no connection."""

from __future__ import annotations

import subprocess
from io import BytesIO
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageOps
from plimsoll_runtime.errors import StartError
from plimsoll_runtime.jobs.model import PermanentError

if TYPE_CHECKING:
    from plimsoll_runtime.jobs.model import Json, StepInput

LANGUAGE: Final = "eng"
INSTALL: Final = "apt-get install tesseract-ocr tesseract-ocr-eng, or use the service's image"
READY_SECONDS: Final = 30

Image.MAX_IMAGE_PIXELS = None  # the upload was measured when it was taken


def ready() -> None:
    """Look once, before any job is taken, for the program and the language that every slide needs.

    Raises:
        StartError: one of them is not installed.
    """
    try:
        said = subprocess.run(
            ["tesseract", "--list-langs"],  # noqa: S607 - where it lies differs by base image
            capture_output=True,
            check=True,
            encoding="utf-8",
            timeout=READY_SECONDS,
        )
    except FileNotFoundError:
        raise StartError(f"tesseract is not installed: {INSTALL}") from None
    except (subprocess.SubprocessError, OSError) as error:
        raise StartError(f"tesseract does not run: {error}") from None
    if LANGUAGE not in said.stdout.split():
        raise StartError(f"tesseract does not know the language {LANGUAGE!r}: {INSTALL}")


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
        ["tesseract", str(page), "stdout", "-l", LANGUAGE],  # noqa: S607 - where it lies differs by base image
        env=dict(environ) | {"OMP_THREAD_LIMIT": "1"},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    if done.returncode:
        raise RuntimeError(f"tesseract ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return {"text": done.stdout.strip()}
