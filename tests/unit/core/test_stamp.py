from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from plimsoll.render import deployment
from plimsoll.render.stamp import is_current, stamped
from support.builders import a_service

if TYPE_CHECKING:
    from collections.abc import Callable

    from plimsoll.api.meta import Manifest

LIMITS = {"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "0.25"}}


def wanted(**wishes: Any) -> Manifest:
    return stamped(deployment.web(a_service(**wishes)))


def live(manifest: Manifest) -> Manifest:
    """The manifest as the API server gives it back, with defaults of its own."""
    stored = copy.deepcopy(manifest)
    stored["metadata"] |= {"uid": "x", "resourceVersion": "7", "generation": 1}
    pod = stored["spec"]["template"]["spec"]
    pod |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler"}
    pod["containers"][0] |= {"terminationMessagePath": "/dev/termination-log"}
    stored["spec"]["strategy"]["rollingUpdate"].pop("nothing", None)
    stored["status"] = {"replicas": 2}
    return stored


def test_what_was_applied_and_not_touched_is_current_whatever_the_server_added() -> None:
    assert is_current(live=live(wanted()), wanted=wanted())


def test_what_is_not_there_is_not_current() -> None:
    assert not is_current(live=None, wanted=wanted())


def _container(manifest: Manifest) -> Manifest:
    container: Manifest = manifest["spec"]["template"]["spec"]["containers"][0]
    return container


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda each: each["spec"].update(replicas=9), id="replicas"),
        pytest.param(lambda each: _container(each).update(image="evil:1"), id="image"),
        pytest.param(lambda each: _container(each)["env"][2].update(value="99"), id="pool size in the environment"),
        pytest.param(lambda each: _container(each)["env"].pop(), id="a variable removed"),
        pytest.param(lambda each: each["spec"]["template"]["metadata"]["annotations"].clear(), id="annotations"),
        pytest.param(lambda each: each["metadata"]["labels"].pop("plimsoll.dev/uid"), id="a label"),
        pytest.param(lambda each: each["metadata"]["annotations"].clear(), id="the stamp itself"),
    ],
)
def test_a_foreign_edit_of_what_was_applied_is_seen(edit: Callable[[Manifest], object]) -> None:
    stored = live(wanted())
    edit(stored)
    assert not is_current(live=stored, wanted=wanted())


def test_a_field_that_is_no_longer_wanted_is_seen_though_the_rest_agrees() -> None:
    with_hook = wanted(shutdown={"preStopSeconds": 5})
    assert not is_current(live=live(with_hook), wanted=wanted())


def test_a_wish_that_changed_is_seen() -> None:
    assert not is_current(live=live(wanted()), wanted=wanted(pool=6))


def test_amounts_are_current_however_the_server_writes_them() -> None:
    service = wanted(web={"resources": LIMITS})
    stored = live(service)
    _container(stored)["resources"] = {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "250m"}}
    assert is_current(live=stored, wanted=service)
    _container(stored)["resources"] = {"limits": {"cpu": "501m", "memory": "1Gi"}, "requests": {"cpu": "250m"}}
    assert not is_current(live=stored, wanted=service)


def test_outside_of_amounts_the_text_counts() -> None:
    service = wanted(image="1")
    stored = live(service)
    _container(stored)["image"] = "1000m"
    assert not is_current(live=stored, wanted=service)


def test_what_the_server_leaves_out_because_it_is_empty_is_current() -> None:
    service = wanted(env=[{"name": "EMPTY", "value": ""}])
    stored = live(service)
    del _container(stored)["env"][-1]["value"]
    assert is_current(live=stored, wanted=service)


def test_the_stamp_is_the_same_for_the_same_wish() -> None:
    assert wanted() == wanted()
