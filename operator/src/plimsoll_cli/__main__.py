"""``python -m plimsoll_cli``, where no console script is installed."""

from plimsoll_cli.main import app

app()
