"""Every child, as it goes to the API server: reviewed once, valid by Kubernetes' own schemas, restricted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from plimsoll.render import deployment, disruption, guard, migration
from plimsoll.render.service import service as front
from plimsoll.render.stamp import stamped
from support.builders import a_service, group
from support.golden import agree
from support.restricted import problems
from support.schemas import validate

if TYPE_CHECKING:
    from plimsoll.api.fastapiservice import FastAPIService
    from plimsoll.api.meta import Manifest

GOLDEN = Path(__file__).parent / "golden"

PLAIN = a_service(migration=1, jobs=(group("ocr", replicas=1, processes=2, connections=3),))
FULL = a_service(
    replicas=3,
    workers=4,
    pool=10,
    overflow=20,
    extra=1,
    surge=2,
    unavailable=1,
    image="registry.example/shop@sha256:" + "0" * 64,
    imagePullPolicy="Always",
    migration=2,
    jobs=(group("ocr", resources={"limits": {"memory": "1Gi"}}),),
    shutdown={
        "preStopSeconds": 7,
        "drainSeconds": 8,
        "requestDeadlineSeconds": 30,
        "jobDeadlineSeconds": 90,
        "lifespanSeconds": 3,
    },
    env=[{"name": "MYAPP_POOL_SIZE", "value": "$(DB_POOL_SIZE)"}],
    envFrom=[{"secretRef": {"name": "shop-keys"}}, {"prefix": "SHOP_", "configMapRef": {"name": "shop-settings"}}],
    pod={
        "serviceAccountName": "shop",
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"disk": "fast"},
        "tolerations": [
            {"key": "dedicated", "value": "web", "effect": "NoSchedule"},
            {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
    },
    web={
        "command": ["serve", "--fast"],
        "port": 9000,
        "livenessPath": "/live",
        "startupSeconds": 300,
        "readinessPath": "/ready",
        "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        "service": {"type": "NodePort", "port": 8080, "nodePort": 30080},
    },
)


def children(service: FastAPIService) -> dict[str, Manifest]:
    spec = service.spec
    assert spec.migrations is not None
    return {
        "web-deployment": deployment.web(service),
        "jobs-deployment": deployment.jobs(service, spec.jobs[0]),
        "service": front(service),
        "priority-class": guard.priority_class(service, "web"),
        "quota": guard.quota(service, "web", pods=4, full=4),
        "disruption-budget": disruption.disruption_budget(service, part="web", target="shop-web"),
        "migration-job": migration.job(service, spec.migrations),
    }


CASES = [
    pytest.param(manifest, f"{name}-{kind}.yaml", id=f"{name}-{kind}")
    for name, service in (("plain", PLAIN), ("full", FULL))
    for kind, manifest in children(service).items()
]
WITH_PODS = [case for case in CASES if "deployment" in str(case.id) or "job" in str(case.id)]


@pytest.mark.parametrize(("manifest", "golden"), CASES)
def test_a_child_is_what_was_reviewed(manifest: Manifest, golden: str) -> None:
    agree(manifest, GOLDEN / golden)


@pytest.mark.parametrize(("manifest", "golden"), CASES)
def test_a_child_is_valid_by_kubernetes_own_schema_also_when_stamped(manifest: Manifest, golden: str) -> None:
    validate(stamped(manifest))


@pytest.mark.parametrize(("manifest", "golden"), WITH_PODS)
def test_its_pods_fit_the_restricted_standard(manifest: Manifest, golden: str) -> None:
    assert problems(manifest["spec"]["template"]["spec"]) == []


@pytest.mark.parametrize(("manifest", "golden"), WITH_PODS)
def test_its_pods_say_what_they_can_open_in_numbers_that_agree(manifest: Manifest, golden: str) -> None:
    template = manifest["spec"]["template"]
    env = _env(template)
    each = int(env["DB_POOL_SIZE"]) + int(env["DB_MAX_OVERFLOW"])
    extra = FULL.spec.database.extra_per_process if golden == "full-web-deployment.yaml" else 0
    opens = int(env.get("WEB_CONCURRENCY", "1")) * (each + extra)
    assert template["metadata"]["annotations"] == {"plimsoll.dev/connections": f"demo/main={opens}"}


@pytest.mark.parametrize(("manifest", "golden"), WITH_PODS)
def test_the_contract_comes_before_the_users_own_variables_and_the_secret_stays_a_reference(
    manifest: Manifest, golden: str
) -> None:
    env = manifest["spec"]["template"]["spec"]["containers"][0]["env"]
    names = [each["name"] for each in env]
    assert len(names) == len(set(names))
    if golden.startswith("full"):
        assert names[-1] == "MYAPP_POOL_SIZE"
    url = next(each for each in env if each["name"] == "DATABASE_URL")
    assert url == {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "shop-db", "key": "DATABASE_URL"}}}


def test_a_workload_selects_its_own_pods_and_only_them() -> None:
    made = children(PLAIN)
    for kind in ("web-deployment", "jobs-deployment"):
        spec = made[kind]["spec"]
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    web, jobs = (made[kind]["spec"]["selector"]["matchLabels"] for kind in ("web-deployment", "jobs-deployment"))
    assert web != jobs
    assert made["service"]["spec"]["selector"] == web


def test_a_drain_may_always_take_a_pod_and_never_more_than_a_rollout() -> None:
    for unavailable, may_go in ((0, 1), (1, 1), (3, 3)):
        made = disruption.disruption_budget(a_service(unavailable=unavailable), part="web", target="shop-web")
        assert made["spec"]["maxUnavailable"] == may_go
        assert made["spec"]["selector"]["matchLabels"] == deployment.web(PLAIN)["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize(
    ("wishes", "seconds"),
    [
        ({"replicas": 2}, 600 + 120 + 2 * 36),
        ({"replicas": 0}, 600 + 120 + 36),
        ({"rollout": {"minReadySeconds": 3600}}, 600 + 120 + 3600 + 2 * 36),
        ({"web": {"startupSeconds": 3600}}, 600 + 3600 + 2 * 36),
        ({"web": {"autoscaling": {"maxReplicas": 9}}}, 600 + 120 + 9 * 36),
    ],
)
def test_nobody_gives_up_on_a_rollout_before_it_may_take_so_long(wishes: dict[str, Any], seconds: int) -> None:
    spec = deployment.web(a_service(**wishes))["spec"]
    assert spec["progressDeadlineSeconds"] == seconds > spec.get("minReadySeconds", 0)


def test_every_workload_is_counted_by_the_quota_of_its_own_class() -> None:
    made = children(PLAIN)
    scope = made["quota"]["spec"]["scopeSelector"]["matchExpressions"][0]
    assert scope["values"] == [made["priority-class"]["metadata"]["name"]]
    assert made["web-deployment"]["spec"]["template"]["spec"]["priorityClassName"] == scope["values"][0]
    assert made["jobs-deployment"]["spec"]["template"]["spec"]["priorityClassName"] != scope["values"][0]


def test_guards_have_no_owner_so_the_garbage_collector_cannot_take_them_before_the_pods() -> None:
    made = children(PLAIN)
    assert {kind for kind, manifest in made.items() if "ownerReferences" not in manifest["metadata"]} == {
        "priority-class",
        "quota",
    }


def test_a_migrations_name_changes_with_the_image_and_with_the_command_and_with_nothing_else() -> None:
    def name(**wishes: Any) -> str:
        service = a_service(**wishes)
        assert service.spec.migrations is not None
        return migration.job_name(service, service.spec.migrations)

    plain = name(migration=1)
    assert name(migration=5, pool=9, replicas=7) == plain
    assert name(migration=1, image="shop:2") != plain
    assert name(migrations={"command": ["migrate", "more"]}) != plain
    assert name(migrations={"command": ["mig", "rate"]}) != name(migrations={"command": ["migrate"]})


def _env(template: Manifest) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in template["spec"]["containers"][0]["env"]}
