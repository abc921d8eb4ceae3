"""The work pool of the page for Kubernetes: a server takes it, `deploy` uses it, and jobs come out of it."""

import json
from pathlib import Path

import pytest

from flows import deploy
from tests.small import ROOT, cli, write_model

TEMPLATE = ROOT / "infra" / "kubernetes-pool.json"


def test_deployments_of_such_a_pool_become_jobs_without_rights(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.utilities.templating import apply_values

    monkeypatch.setattr(deploy, "POOL", "kubernetes")
    template = json.loads(TEMPLATE.read_text())
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="kubernetes", type="kubernetes", base_job_template=template))
        said = cli("deploy", write_model(tmp_path, "in-a-cluster"))
        assert said.code == 0, said.both
        deployed = client.read_deployment_by_name("retrain/in-a-cluster")
        pool = client.read_work_pool("kubernetes")
    assert (deployed.work_pool_name, pool.type) == ("kubernetes", "kubernetes")
    variables = pool.base_job_template["variables"]["properties"]
    defaults = {name: about["default"] for name, about in variables.items() if "default" in about}
    given = (
        defaults | deployed.job_variables | {"name": "x", "labels": {}, "command": ["prefect", "flow-run", "execute"]}
    )
    assert set(deployed.job_variables) <= set(variables)
    job = apply_values(pool.base_job_template["job_configuration"], given)["job_manifest"]
    assert "{{" not in json.dumps(job)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["workingDir"] == deployed.job_variables["working_dir"]
    assert container["env"] == deployed.job_variables["env"]
    assert container["image"] == "perennial:latest"
    assert pod["securityContext"]["runAsNonRoot"] and not container["securityContext"]["allowPrivilegeEscalation"]
    assert "PASSWORD" not in json.dumps(job)
