"""``python -m plimsoll_runtime serve captions.main:app``."""

from plimsoll_runtime.tokens import TokenSettings

from captions.app import create_app

app = create_app(tokens=TokenSettings.load())  # now: a wrong environment is one sentence, before anything is opened
