"""An app whose import ends when the test says so, or never: a pod that is deleted while it starts."""

import os
import time
from pathlib import Path

from fastapi import FastAPI

Path(os.environ["MARKER"]).write_text(str(os.getpid()))
while not Path(os.environ.get("GATE", "/nowhere")).exists():
    time.sleep(0.02)

app = FastAPI()
