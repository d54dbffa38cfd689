"""The pure core of Plimsoll: what a service may open, what a server can give, and what follows from the two.

No I/O, no clock, no kopf and no Kubernetes client in here (import-linter holds the border). The flow, as the operator's
shell drives it: read everything into an ``Observed`` → ``decide`` → write everything that the ``Decision`` names.
"""
