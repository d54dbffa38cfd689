"""An app that cannot start."""

from contextlib import asynccontextmanager
from typing import Never

from fastapi import FastAPI


@asynccontextmanager
async def lifespan(_: FastAPI) -> Never:  # type: ignore[misc] # a generator that never yields
    raise RuntimeError("no model\nat /models/speech")
    yield


app = FastAPI(lifespan=lifespan)
