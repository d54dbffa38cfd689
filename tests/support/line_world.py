"""The world of the line (``line_tenants``): what a test asks of its pods, what it edits, and what it waits for."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from support.kube import KubectlError, condition
from support.line_tenants import neighbourhood, server, service, tenants
from support.stage import BUDGET, SERVICE, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Kube, Manifest
    from support.stage import Images

DEADLINE = 300
"""Seconds for anything that has to settle; five rollouts at once take about a minute on two cores that are idle."""


class World(Stage):
    """The server's namespace as a stage, and the tenants around it."""

    def __init__(self, kube: Kube, namespace: str, images: Images) -> None:
        super().__init__(kube, namespace, images)
        self.tenants = {each.name: each for each in tenants(namespace)}
        self._revision = 0

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The tenants' namespaces."""
        return tuple(sorted({each.namespace for each in self.tenants.values()}))

    @property
    def granted(self) -> int:
        """What all of them hold, once they have all they ask for."""
        return sum(each.granted for each in self.tenants.values())

    @property
    def at_rest(self) -> int:
        """What all of them have open when nothing happens and the autoscaler is at its maximum."""
        return sum(each.at_rest for each in self.tenants.values())

    @property
    def rolling(self) -> bool:
        """Whether each of the five has begun its latest rollout, and none has ended it."""
        web = [each for each in self.deployments() if each["metadata"]["name"].endswith("-web")]
        return all(_updated(each) > 0 and _updated(each) < each["status"].get("replicas", 0) for each in web)

    def deployments(self) -> list[Manifest]:
        """The Deployments of all five."""
        found = self.kube.list("deployments")
        return [each for each in found if each["metadata"]["namespace"] in self.namespaces]

    def held(self, name: str) -> int:
        """What the ledger holds for a tenant."""
        return self.claim(name)

    def apply(self) -> None:
        """All five at once."""
        image = os.environ["PLIMSOLL_TEST_IMAGE"]
        self.kube.apply(*(service(each, server=self.namespace, image=image) for each in self.tenants.values()))

    def switch(self, **settings: object) -> None:
        """Tells every pod: ``hold``, ``linger``, ``burn``; see ``saturating``."""
        self.sql("UPDATE switch SET " + ", ".join(f"{name} = {value}" for name, value in settings.items()))  # noqa: S608 - our own words

    def change(self, name: str, spec: Manifest) -> None:
        """Edits one tenant's spec."""
        self.kube.patch(SERVICE, name, {"spec": spec}, namespace=self.tenants[name].namespace)

    def may(self, name: str, spec: Manifest) -> bool:
        """Edits it as well, unless the API server refuses it for want of room."""
        try:
            self.change(name, spec)
        except KubectlError as error:
            if "free for it" not in str(error):
                raise
            return False
        return True

    def roll_all(self) -> None:
        """An edit of each of the five that changes nothing but its pods."""
        self._revision += 1
        for tenant in self.tenants.values():
            env = [*tenant.spec.get("env", ()), {"name": "REVISION", "value": str(self._revision)}]
            self.change(tenant.name, {"env": env})

    def objects(self) -> list[Manifest]:
        """The five FastAPIServices as they are now."""
        found = self.kube.list(SERVICE)
        return [each for each in found if each["metadata"]["namespace"] in self.namespaces]

    def pods(self, name: str | None = None) -> list[Manifest]:
        """The pods of one tenant, or of all of them."""
        labels = f"plimsoll.dev/service={name}" if name else "plimsoll.dev/service"
        found = self.kube.list("pods", labels=labels)
        return [each for each in found if each["metadata"]["namespace"] in self.namespaces]

    def settled(self, *, within: float = DEADLINE) -> None:
        """Waits until every latest edit is rolled out and nothing terminates any more."""

        def seen() -> bool:
            services = self.objects()
            ready = [each["metadata"]["name"] for each in services if condition(each)["status"] == "True"]
            leaving = [pod for pod in self.pods() if pod["metadata"].get("deletionTimestamp")]
            return len(ready) == len(self.tenants) and not leaving

        self.told("all five are Ready and no pod terminates", seen, within=within, every=1)

    def scaled_out(self) -> None:
        """Waits until the autoscaler of the elastic one has gone as far as it may."""
        self.told("the autoscaler is at its maximum", lambda: self.web_replicas("elastic") == 3, every=1)

    def scaled_in(self) -> None:
        """Waits until it has come back."""
        self.told("the autoscaler is at its minimum", lambda: self.web_replicas("elastic") == 1, every=1)

    def web_replicas(self, name: str) -> int:
        """Web pods of a tenant that are ready, where no others are wanted."""
        found = self.kube.get("deployment", f"{name}-web", namespace=self.tenants[name].namespace)
        if found is None:
            return 0
        status = found.get("status", {})
        return int(status.get("readyReplicas", 0)) if status.get("replicas") == found["spec"]["replicas"] else 0

    def told(self, what: str, observe: Any, *, within: float = DEADLINE, every: float = 0.25) -> Any:
        """``Kube.until`` about the tenants, whose story is the longer one."""
        try:
            return self.until(what, observe, within=within, every=every)
        except AssertionError as late:
            pods = self.kube.run("get", "fastapiservices,hpa,pods,resourcequotas", "--all-namespaces")
            raise AssertionError(f"{late}\n{pods}") from None


def _updated(deployment: Manifest) -> int:
    """Pods of the latest template; none while the latest edit has not been seen."""
    status = deployment.get("status", {})
    if status.get("observedGeneration") != deployment["metadata"]["generation"]:
        return 0
    return int(status.get("updatedReplicas", 0))


SETUP = """
CREATE ROLE tenant LOGIN PASSWORD 'tenant';
CREATE TABLE switch (hold boolean NOT NULL, linger boolean NOT NULL, burn integer NOT NULL);
INSERT INTO switch VALUES (false, false, 0);
GRANT SELECT ON switch TO tenant;
"""


@contextlib.contextmanager
def line_world(kube: Kube, namespace: str, images: Images) -> Iterator[World]:
    """The world with its server up and its budget Ready, before any service; cleared away at the end."""
    world = World(kube, namespace, images)
    everything = (namespace, *world.namespaces)
    for each in everything:
        kube.delete("namespace", each)
    kube.run("wait", "--for=delete", *(f"namespace/{each}" for each in everything), "--timeout=150s", seconds=160)
    try:
        kube.apply(*server(namespace, images))
        kube.apply(*neighbourhood(namespace))
        world.until(
            "the budget is Ready",
            lambda: condition(kube.get(BUDGET, "main", namespace=namespace))["status"] == "True",
            within=120,
        )
        world.sql(SETUP)
        yield world
    finally:
        for each in everything:
            kube.delete("namespace", each)
