"""Which tests may run beside each other where `make test` runs two lanes (pytest-xdist, ``--dist=loadgroup``).

There is one cluster, so the kind tier is one group, run in its order by one lane; everything else goes by the file.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
KIND_TIER = TESTS / "e2e"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say of each test what it has to stay with."""
    if config.pluginmanager.has_plugin("xdist"):
        for item in items:
            of_kind_tier = item.path.is_relative_to(KIND_TIER)
            group = "kind" if of_kind_tier else item.path.relative_to(TESTS).as_posix()
            item.add_marker(pytest.mark.xdist_group(group))
