"""A handler that does nothing: what a request costs before anything is done for it."""

from fastapi import APIRouter

router = APIRouter()


@router.get("/empty")
async def empty() -> dict[str, str]:
    """As little as FastAPI can be asked for."""
    return {}
