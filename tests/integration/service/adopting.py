"""The captions app for servers that are not ours; ADOPT=no is the negative control."""

import os

from captions.app import create_app
from plimsoll_runtime.adopt import adopt

app = create_app()
if os.environ.get("ADOPT") != "no":
    adopt(app)
