"""The operator is quick: what it adds to a service's start is a fraction of what the pods take.

The ratio to a plain Deployment is measured by tests/bench/first_response.py; here, only that nothing waits for a timer.
"""

from __future__ import annotations

import time

from bench.first_response import NAME, clear, service
from support.stage import SERVICE

TURNS = 3
LONGEST_SECONDS = 1.0


def test_a_deployment_follows_its_service_without_waiting_for_a_timer(demo, kube, images):
    took = []
    for _ in range(TURNS):
        kube.apply(service(images.captions))
        applied = time.monotonic()
        demo.until("the Deployment is there", lambda: demo.children("deployments", NAME), within=30, every=0.05)
        took.append(time.monotonic() - applied)
        clear(kube, (SERVICE, NAME))
    print(f"\napply → Deployment: {', '.join(f'{each:.2f} s' for each in took)}")
    assert min(took) <= LONGEST_SECONDS
