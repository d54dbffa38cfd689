"""The command line: ``plimsoll plan | explain | crds | version``, also installed as ``kubectl plimsoll``.

It reads and prints. What it says is computed by the core that the operator runs, never by arithmetic of its own.

    source → check → facts → plan → output/      what would happen to these manifests
    live   → why                                 what has happened in this cluster
"""
