"""The sentences: what does not fit, by how much, and the cheapest change that would.

One place, so that ``kubectl get``, the conditions and (later) the CLI and the admission policy say the same. Printed
from the computation's own terms, never from numbers written down a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plimsoll.api.fastapiservice import LARGEST_POOL
from plimsoll.budget.demand import demand, web_cost

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIServiceSpec
    from plimsoll.budget.ledger import Ledger
    from plimsoll.units import Connections


def with_pool(spec: FastAPIServiceSpec, *, size: int, overflow: int = 0) -> FastAPIServiceSpec:
    """The same service with another pool."""
    pool = spec.database.pool.model_copy(update={"size": size, "max_overflow": overflow})
    return spec.model_copy(update={"database": spec.database.model_copy(update={"pool": pool})})


def largest_pool(spec: FastAPIServiceSpec, *, room: Connections) -> int:
    """The largest pool.size, with maxOverflow 0, with which the service fits into ``room``; 0 where none does."""
    smallest = demand(with_pool(spec, size=1)).connections
    if smallest > room:
        return 0
    web = next(workload for workload in demand(spec).workloads if workload.name == "web")
    per_step = web.pods * web.cost.processes
    return min(LARGEST_POOL, 1 + (room.minus(smallest).count // per_step if per_step else 0))


def why_not_obvious(spec: FastAPIServiceSpec) -> str:
    """Names the usual miscount where it applies: that a pool belongs to a process, and that overflow counts."""
    cost = web_cost(spec)
    if not cost.overflow:
        return ""
    looks = cost.processes * cost.pool
    return (
        f" One pod looks like {cost.processes} × {cost.pool} = {looks}, but every process has its own pool and"
        f" max_overflow opens connections too: {cost.processes} × ({cost.pool} + {cost.overflow}) ="
        f" {cost.processes * (cost.pool + cost.overflow)}."
    )


def what_would_fit(spec: FastAPIServiceSpec, *, room: Connections) -> str:
    """The cheapest edits with which the service would fit."""
    size = largest_pool(spec, room=room)
    if size:
        return f"What would fit: database.pool.size {size} with maxOverflow 0."
    fewer = spec.model_copy(update={"web": spec.web.model_copy(update={"workers": 1})})
    if spec.web.workers > 1 and (size := largest_pool(fewer, room=room)):
        return f"What would fit: web.workers 1 and database.pool.size {size} with maxOverflow 0."
    return "No pool is small enough: use fewer replicas or job workers, or free connections elsewhere."


def over_budget(*, spec: FastAPIServiceSpec, budget: str, ledger: Ledger, room: Connections) -> str:
    """Why a service is refused: the sum, what is free, why it is not obvious, what would fit."""
    wanted = demand(spec)
    return (
        f"Needs {wanted.connections} connections: {wanted}."
        f" Budget {budget} has {room} free for it of {ledger.usable} usable."
        f"{why_not_obvious(spec)} {what_would_fit(spec, room=room)}"
    )
