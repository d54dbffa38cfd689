"""The main job, and what `kubectl get` says of it."""

from __future__ import annotations

import httpx2
from support.slides import slide

TEXT = ("Connection budgets", "never over the line")


def test_the_text_of_a_slide_posted_from_outside_the_cluster_comes_back(demo, url):
    with httpx2.Client(base_url=url, headers=demo.bearer(), timeout=30, trust_env=False) as client:
        posted = client.post("/jobs", files={"file": ("slide.png", slide(*TEXT), "image/png")})
        assert posted.status_code == 202, posted.text

        def ended():
            job = client.get(posted.headers["location"]).json()
            return job if job["finished_at"] else None

        job = demo.until("a worker has read the slide", ended, within=60)
    assert (job["status"], job["attempts"], job["error"]) == ("succeeded", 1, None)
    assert job["result"]["text"].split() == " ".join(TEXT).split()


def test_nobody_is_answered_without_a_token(demo, url):
    with httpx2.Client(base_url=url, timeout=30, trust_env=False) as client:
        answers = [client.get("/me"), client.get("/me", headers={"authorization": "Bearer made-up"})]
    assert [each.status_code for each in answers] == [401, 401]


def test_kubectl_get_answers_whether_it_is_up_whether_it_fits_and_how_full_the_server_is(demo, kube):
    def counted():
        printed = kube.run("get", "connectionbudgets,fastapiservices", "--all-namespaces")
        rows = read(printed)
        live = int(rows["demo/connectionbudget.plimsoll.dev/main"]["LIVE"])
        return (printed, rows) if 0 < live <= 20 else None  # at the last probe, which may have seen others come and go

    printed, rows = demo.until("the budget has counted this service's connections", counted, within=60, every=1)
    print(f"\n{printed}")
    budget = rows["demo/connectionbudget.plimsoll.dev/main"]
    service = rows["demo/fastapiservice.plimsoll.dev/captions"]

    # 86 = 100 max_connections − 3 for superusers − 5 reserve − 1 operator − 5 margin, which is one web pod;
    # 20 = 3 pods × 5 + 2 pods × 2 + migration 1.
    expected = {"READY": "True", "USABLE": "86", "CLAIMED": "20", "FREE": "66", "LOAD": "23%", "REASON": "Observed"}
    assert {head: budget[head] for head in expected} == expected
    expected = {
        "READY": "True",
        "FITS": "True",
        "PODS": "3/3",
        "CONNECTIONS": "20",
        "GRANTED": "20",
        "REASON": "Available",
    }
    assert {head: service[head] for head in expected} == expected


def read(printed: str) -> dict[str, dict[str, str]]:
    """kubectl's tables: namespace and name of each object → its cells by heading."""
    rows = {}
    for block in printed.strip().split("\n\n"):
        heads, *lines = (line.split() for line in block.splitlines())
        rows |= {f"{cells[0]}/{cells[1]}": dict(zip(heads, cells, strict=True)) for cells in lines}
    return rows
