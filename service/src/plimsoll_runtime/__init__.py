"""What any FastAPI app imports, or is started by, to honour Plimsoll's contract with the operator.

The flow of a web process: ``__main__`` (signals first) -> ``settings`` -> ``server``, which wraps the app into the
middlewares of ``contract``; the app itself uses ``engine``, ``problems`` and ``leaving``, and for what comes in
``tokens`` (with ``jwks``), ``incoming`` (with ``json_route``) and ``paging``. Under other servers the app begins it:
``adopt`` -> ``contract``. The flow of a job worker: ``__main__`` -> ``settings`` -> ``jobs.worker``. Several processes
per pod: ``supervisor``. How each ends: ``exits``.

This file stays empty of imports: a SIGTERM that arrives while Python is still importing must find its handler.
"""
