"""Builders: (service, …) → manifest, one file per child kind, pure and deterministic.

A manifest is an apply configuration for server-side apply: exactly the fields that the operator owns, and all of them
each time, since what is left out is given up.
"""
