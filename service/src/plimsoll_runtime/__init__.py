"""What any FastAPI app imports, or is started by, to honour Plimsoll's contract with the operator.

The flow of a web process: ``__main__`` (signals first) -> ``settings`` -> ``server``, which wraps the app into
``drain``, ``health`` and ``logs``; the app itself uses ``engine`` and ``problems``. The flow of a job worker:
``__main__`` -> ``settings`` -> ``jobs.worker``. Several processes per pod: ``supervisor``.

This file stays empty of imports: a SIGTERM that arrives while Python is still importing must find its handler.
"""
