"""What ``explain`` says: why a service of the cluster is as it is, and what to do next.

Everything comes from what the operator has written (conditions, plan, ledger) and from what the pods declare.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from plimsoll.accounts import is_ready
from plimsoll.conditions import ConditionType, Reason, of_type
from plimsoll.observed import PodView, declared, running
from plimsoll.render import migration
from plimsoll.render.names import COMPONENT, SERVICE, SERVICE_UID
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from plimsoll.api.connectionbudget import ConnectionBudget
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import BudgetKey, Condition

    from plimsoll_cli.live import Scene


def why(scene: Scene, *, width: int, colour: bool) -> str:
    """The whole explanation, for a terminal of ``width`` columns."""
    page = io.StringIO()
    console = Console(file=page, width=width, force_terminal=colour, highlight=False, markup=False, emoji=False)
    service, ready = scene.service, of_type(scene.service.status.conditions, ConditionType.READY)
    meta = service.metadata
    console.print(Text.assemble((f"{meta.namespace}/{meta.name}", "bold"), f" {_headline(service, ready)}"))
    if ready is not None:
        console.print(Padding(ready.message, (0, 0, 0, 2)))
    if asked := service.status.plan:
        said = f"It asks for {asked.connections} and holds {asked.granted}: {asked.arithmetic}"
        console.print(Padding(said, (0, 0, 0, 2)))
    for title, table in (("Conditions", _conditions(service)), ("Pods", _pods(scene))):
        console.print()
        console.print(Text(title, style="bold"))
        console.print(Padding(table, (0, 0, 0, 2)) if table.rows else "  none")
    for key, budget in scene.budgets.items():
        console.print()
        console.print(Text(f"Budget {key}", style="bold"))
        console.print(Padding("\n".join(_budget(budget, service)), (0, 0, 0, 2)))
    console.print()
    console.print(Text("Next", style="bold"))
    console.print(Padding("\n".join(_next(scene, ready)), (0, 0, 0, 2)))
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def _headline(service: FastAPIService, ready: Condition | None) -> str:
    if service.metadata.deletion_timestamp:
        return "is being deleted."
    if ready is None:
        return "was not looked at by the operator yet."
    old = service.status.observed_generation < service.metadata.generation
    said = "is ready" if ready.status == "True" else "is not ready"
    return f"{said}: {ready.reason}{', but its last edit was not looked at yet' if old else ''}."


def _conditions(service: FastAPIService) -> Table:
    table = _bare("TYPE", "STATUS", "REASON", "SINCE", "")
    ready = of_type(service.status.conditions, ConditionType.READY)
    for each in service.status.conditions:
        repeated = ready is not None and each.message == ready.message
        table.add_row(each.type, each.status, each.reason, each.last_transition_time, "" if repeated else each.message)
    return table


def _budget(budget: ConnectionBudget | None, service: FastAPIService) -> list[str]:
    """The arithmetic of the budget, from what the operator has written into its status."""
    if budget is None:
        return ["It is not there, or you may not read it."]
    status, uid = budget.status, service.metadata.uid
    ready = of_type(status.conditions, ConditionType.READY)
    lines = [f"{ready.reason}: {ready.message}" if ready else "Its server was never read."]
    if status.usable is not None:
        beside = f", {status.claimed_elsewhere} in {', '.join(status.shared_with)}" if status.claimed_elsewhere else ""
        lines.append(f"{status.usable} usable, {status.claimed} claimed{beside}, {status.free} free")
    claims = sorted(status.claims, key=lambda each: (each.uid != uid, -each.connections, each.namespace, each.name))
    for each in claims:
        holder = "it" if each.uid == uid else f"{each.namespace}/{each.name}"
        lines.append(f"{each.connections} held by {holder}{f': {each.arithmetic}' if each.arithmetic else ''}")
    if all(each.uid != uid for each in claims):
        lines.append("It holds nothing here.")
    return lines


def _pods(scene: Scene) -> Table:
    """Every pod under the service's name, whichever object made it: what exists may be connected."""
    table = _bare("POD", "WORKLOAD", "PHASE", "MAY OPEN", "")
    there = {view.name: view for view in running(scene.pods)}
    for pod in sorted(scene.pods, key=lambda each: str(each["metadata"]["name"])):
        meta = pod["metadata"]
        labels = meta.get("labels", {})
        view = there.get(meta["name"])
        opens = declared(meta.get("annotations", {})) if view else {}
        table.add_row(
            meta["name"],
            labels.get(COMPONENT, ""),
            pod.get("status", {}).get("phase", ""),
            ", ".join(f"{count} to {key}" for key, count in opens.items()) or "0",
            _remark(view, earlier=labels.get(SERVICE_UID) != scene.service.metadata.uid, now=scene.now),
        )
    return table


def _remark(view: PodView | None, *, earlier: bool, now: str) -> str:
    if view is None:
        return "ended"
    said = [str(view.trouble)] if view.trouble else []
    if view.overdue_from:
        late = view.overdue_from <= now
        said.append(
            f"{'overdue' if late else 'terminating, to be gone by'} {'since ' if late else ''}{view.overdue_from}"
        )
    if earlier:
        said.append("of an earlier object of this name")
    return "; ".join(said)


def _next(scene: Scene, ready: Condition | None) -> list[str]:
    """The next command to run; one, where one will do."""
    meta = scene.service.metadata
    if ready is None or scene.service.status.observed_generation < meta.generation:
        return ["kubectl get pods -A -l app.kubernetes.io/name=plimsoll-operator   # is the operator running?"]
    if ready.status == "True":
        return ["Nothing: it is as its spec says."]
    mine, selector, key = f"kubectl -n {meta.namespace}", f"-l {SERVICE}={meta.name}", _first_unready(scene)
    edit = f"{mine} edit fastapiservice {meta.name}   # or its manifest; before that: plimsoll plan FILE --live"
    budget = f"kubectl -n {key.namespace} describe connectionbudget {key.name}"
    commands = {
        Reason.OVER_BUDGET: edit,
        Reason.INVALID_SPEC: edit,
        Reason.BUDGET_NOT_FOUND: "kubectl get connectionbudgets -A",
        Reason.WAITING_FOR_BUDGET: budget,
        Reason.NAMESPACE_NOT_ALLOWED: budget,
        Reason.MIGRATION_FAILED: f"{mine} logs {selector},{COMPONENT}={migration.PART} --tail=50",
    }
    if command := next((each for reason, each in commands.items() if reason.value == ready.reason), ""):
        return [command]
    if troubled := next((view for view in running(scene.pods) if view.trouble), None):
        return [f"{mine} describe pod {troubled.name}", f"{mine} logs {troubled.name} --previous"]
    return [f"{mine} get pods {selector} --watch"]


def _first_unready(scene: Scene) -> BudgetKey:
    """The budget that most likely holds it up."""
    for key, budget in scene.budgets.items():
        if budget is None or not is_ready(budget):
            return key
    return scene.service.budget_key


def _bare(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
