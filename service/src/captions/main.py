"""``python -m plimsoll_runtime serve captions.main:app``."""

from captions.app import create_app

app = create_app()
