"""The demand of a service on one budget, in CEL: the numbers of ``budget/demand.py`` and the words that it prints.

Used by ``admission``. ``object`` is the service, ``params`` the budget. In comprehensions ``d`` is an additional
database, ``g`` a group of job workers. Every field with a default is there, since the CRD's schema fills it in.
"""

from __future__ import annotations

from typing import Final

from plimsoll.api.cel import Expression, Side, bracketed, number, text, total, when
from plimsoll.api.workloads import MOST_PROCESSES

NEW: Final = Side("object")
OLD: Final = Side("oldObject", prefix="old")

_EXTRA: Final = "int(d.poolSize) + int(d.maxOverflow)"
_JOB_EXTRA: Final = "int(d.jobConnectionsPerProcess)"


def _refers(o: Side, ref: Expression) -> Expression:
    """Whether a budgetRef names the budget at hand."""
    namespace = f"{ref}.?namespace.orValue({o.root}.metadata.namespace)"
    return f"{namespace} == params.metadata.namespace && {ref}.name == params.metadata.name"


def _replicas(workload: Expression) -> Expression:
    """The most pods that are wanted of a workload, the web or a group."""
    most = number(f"{workload}.autoscaling.maxReplicas")
    return when(f"has({workload}.autoscaling)", most, number(f"{workload}.replicas"))


_GROUP: Final = _replicas("g")


def _pods(o: Side, replicas: Expression) -> Expression:
    """The most pods of a workload that exist at once. No replicas, no pods."""
    return when(f"{replicas} > 0", f"{replicas} + {o.surge}", "0")


def _group_cost(o: Side) -> Expression:
    """What one pod of a group can open."""
    own = when(o.own, number("g.connectionsPerProcess"), "0")
    return f"{number('g.processes')} * ({own} + {o.groupExtra})"


def demand(o: Side) -> dict[str, Expression]:
    """What one side can open at worst, term by term: ``demand`` as it asks for it, ``least`` with its smallest pool."""
    spec = f"{o.root}.spec"
    web, database, pool = f"{spec}.web", f"{spec}.database", f"{spec}.database.pool"
    size, overflow, extra = map(number, (f"{pool}.size", f"{pool}.maxOverflow", f"{database}.extraPerProcess"))
    terms = {
        "own": _refers(o, f"{database}.budgetRef"),
        "additional": f"{spec}.additionalDatabases.filter(d, {_refers(o, 'd.budgetRef')})",
        "refers": f"{o.own} || {o.additional}.size() > 0",
        **_workers(o, web),
        "processes": f"{o.workers} + {number(f'{web}.restartingWorkers')}",
        "perProcess": f"{when(o.own, f'{size} + {overflow} + {extra}', '0')} + {total(o.additional, 'd', _EXTRA)}",
        "replicas": _replicas(web),
        "surge": number(f"{spec}.rollout.maxSurge"),
        "pods": _pods(o, o.replicas),
        "groupExtra": total(o.additional, "d", _JOB_EXTRA),
        "groups": total(f"{spec}.jobs", "g", f"{_pods(o, _GROUP)} * {_group_cost(o)}"),
        "migration": when(f"{o.own} && has({spec}.migrations)", number(f"{spec}.migrations.connections"), "0"),
        "demand": f"{o.pods} * {o.processes} * {o.perProcess} + {o.groups} + {o.migration}",
        "floor": when(f"has({pool}.minSize)", number(f"{pool}.minSize"), f"({size} + 1) / 2"),
        "spared": when(f"{o.own} && {spec}.whenOver == 'ShrinkPool'", f"{size} - {o.floor}", "0"),
        "least": f"{o.demand} - {o.pods} * {o.processes} * {o.spared}",
    }
    return {o.named(name): expression for name, expression in terms.items()}


def _workers(o: Side, web: Expression) -> dict[str, Expression]:
    """Server processes as declared, or one per whole CPU of the limit.

    ``resources`` is an open object, which may hold anything: what is no number of CPUs counts as none, and nothing that
    can be written there makes the evaluation fail. Exponents are quantities to Kubernetes, but not to the core.
    """
    is_quantity = f"type({o.cpu}) == string && isQuantity({o.cpu}) && !{o.cpu}.matches('[eE][-+0-9]')"
    in_range = when(f"{o.cpus} < 1.0", "1", number(o.cpus))
    return {
        "limits": f"dyn({web}).?resources.?limits.orValue(dyn({{}}))",
        "cpu": when(f"type({o.limits}) == map", f"{o.limits}.?cpu.orValue(dyn(0))", "dyn(0)"),
        "cpus": when(
            f"type({o.cpu}) == int || type({o.cpu}) == double",
            f"double({o.cpu})",
            when(is_quantity, f"quantity({o.cpu}).asApproximateFloat()", "0.0"),
        ),
        "perCpu": when(f"{o.cpus} >= {MOST_PROCESSES}.0", str(MOST_PROCESSES), in_range),
        "workers": when(f"has({web}.workers)", number(f"{web}.workers"), o.perCpu),
    }


def dearest(per_process: Expression) -> Expression:
    """What the dearest pod of the service can open, with so many connections per web process."""
    web = when(f"{NEW.pods} > 0", f"{NEW.processes} * ({per_process})", "0")
    groups = f"object.spec.jobs.filter(g, {_GROUP} > 0).map(g, {_group_cost(NEW)})"
    return f"([{web}, {NEW.migration}] + {groups}).max()"


def arithmetic() -> dict[str, Expression]:
    """How ``demand`` comes about: ``sum``, as ``Demand`` prints it."""
    web, database = "object.spec.web", "object.spec.database"
    workers, restarting = f"string({NEW.workers})", number(f"{web}.restartingWorkers")
    own = _terms(
        (number(f"{database}.pool.size"), "' pool'"),
        (number(f"{database}.pool.maxOverflow"), "' overflow'"),
        (number(f"{database}.extraPerProcess"), "' extra'"),
    )
    named = _terms((number("d.poolSize"), "' pool ' + d.name"), (number("d.maxOverflow"), "' overflow ' + d.name"))
    group_pool = when(NEW.own, "[string(int(g.connectionsPerProcess)) + ' pool']", "[]")
    web_text = _workload(
        "'web'",
        NEW.replicas,
        processes=when(
            f"{restarting} > 0",
            text("({} + {} restarting) processes", workers, f"string({restarting})"),
            _processes(NEW.workers),
        ),
        each=bracketed("variables.webPools"),
        connections=f"{NEW.pods} * {NEW.processes} * {NEW.perProcess}",
    )
    group_text = _workload(
        "'jobs ' + g.name",
        _GROUP,
        processes=_processes(number("g.processes")),
        each=bracketed(f"({group_pool} + variables.groupPools).join(' + ')"),
        connections=f"{_pods(NEW, _GROUP)} * {_group_cost(NEW)}",
    )
    return {
        "webPools": f"({when(NEW.own, f'[{own}]', '[]')} + {NEW.additional}.map(d, {named})).join(' + ')",
        "groupPools": f"{NEW.additional}.filter(d, {_JOB_EXTRA} > 0).map(d, string({_JOB_EXTRA}) + ' pool ' + d.name)",
        "webText": web_text,
        "groupTexts": f"object.spec.jobs.filter(g, {NEW.own} || variables.groupPools.size() > 0).map(g, {group_text})",
        "migrationText": when(f"{NEW.migration} > 0", f"['migration ' + string({NEW.migration})]", "[]"),
        "sum": "([variables.webText] + variables.groupTexts + variables.migrationText).join('; ')",
    }


def _workload(
    name: Expression, replicas: Expression, *, processes: Expression, each: Expression, connections: Expression
) -> Expression:
    """One workload, as ``WorkloadDemand`` prints it."""
    both = text("({} + {} surge)", f"string({replicas})", f"string({NEW.surge})")
    pods = when(f"{replicas} > 0 && {NEW.surge} > 0", both, f"string({replicas})")
    return text("{} {} pods × {} × {} = {}", name, pods, processes, each, f"string({connections})")


def _processes(count: Expression) -> Expression:
    return when(f"{count} > 1", f"string({count}) + ' processes'", "'1 process'")


def _terms(*parts: tuple[Expression, Expression]) -> Expression:
    """The first number with its label, and every other that is not 0."""
    (first, label), *rest = parts
    more = [when(f"{count} > 0", f"' + ' + string({count}) + {name}", "''") for count, name in rest]
    return " + ".join([f"string({first}) + {label}", *more])
