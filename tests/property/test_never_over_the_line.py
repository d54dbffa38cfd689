"""Never over the line, whatever happens in whatever order: the promise of the ledger, as a state machine.

Users edit services, controllers and kubelets act as late and as awkwardly as they legally can, servers change their
capacity, ledgers are lost, the operator crashes between any two of its calls. The operator is the real one
(reconcilers, core, manifests); the machine is support/machine.py. At every pod that is made and every claim that is
written, server by server:

- what the pods that exist could open ≤ the sum of the claims, over all budgets that point at it;
- the claims grow only into what the server was last seen to give, less the margin;
- what the pods could open ≤ what the server gives, as long as that never shrank.

And when the edits end and everything may act, it converges: see support/arrival.py. Longer runs:
PLIMSOLL_EXAMPLES=5000 pytest tests/property.
"""

from __future__ import annotations

from hypothesis.stateful import run_state_machine_as_test
from support.exploring import CHECKS
from support.machine import Line


def test_no_schedule_of_edits_controllers_and_crashes_gets_over_the_line() -> None:
    run_state_machine_as_test(Line, settings=CHECKS)
