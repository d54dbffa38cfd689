"""The whole stack: the reference service as it is, served by ``plimsoll_runtime serve``."""

from bench.apps import empty
from captions.app import create_app

app = create_app()
app.include_router(empty.router)
