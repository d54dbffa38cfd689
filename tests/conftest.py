"""Which tests may run beside each other where `make test` runs two lanes (pytest-xdist).

There is one cluster, so the kind tier stays together, in its order; everything else goes by the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # the library has no types

KIND_TIER = "tests/e2e/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Hand out what stays together to whichever lane is free."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - not everybody who runs a test has it

    class Lanes(LoadScopeScheduling):  # type: ignore[misc] # likewise
        def _split_scope(self, nodeid: str) -> str:
            return KIND_TIER if nodeid.startswith(KIND_TIER) else nodeid.partition("::")[0]

    return Lanes(config, log)
