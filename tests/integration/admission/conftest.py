"""An API server of its own for each module: it is up in two seconds, and the kind tier shall not share the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from integration.admission.stage import staged
from support.apiserver import api_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.admission.stage import Stage
    from support.api import Api


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with api_server() as api:
        yield api


@pytest.fixture(scope="module")
def bare(api: Api) -> Iterator[Stage]:
    """The custom resources without the policy."""
    with staged(api) as stage:
        yield stage


@pytest.fixture(scope="module")
def stage(bare: Stage) -> Stage:
    """The same with the policy in force."""
    bare.force()
    return bare
