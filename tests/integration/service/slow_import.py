"""An app whose import never ends: a pod that is deleted while it starts."""

import os
import threading
from pathlib import Path

Path(os.environ["MARKER"]).write_text(str(os.getpid()))
threading.Event().wait()
