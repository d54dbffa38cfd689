"""``python -m plimsoll_runtime serve`` with several processes, but who dies is replaced however young it was."""

import os
import socket
import sys

from plimsoll_runtime import logs
from plimsoll_runtime.supervisor import Supervisor

if __name__ == "__main__":
    logs.configure()
    listener = socket.socket()
    listener.bind(("127.0.0.1", int(os.environ["PORT"])))
    sys.exit(Supervisor(sys.argv[1:], count=2, listener=listener, settled_seconds=0).run())
