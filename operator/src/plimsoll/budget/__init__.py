"""The arithmetic: capacity (what the server gives), demand (what a service can open at worst), ledger (who holds what).

Every number carries the terms that it was computed from, so that an explanation is printed from the computation itself.
"""
