"""`diff`: what two specs want, as a plan reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from alb_reconcile.cli.main import main
from tests.harness import demo

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    new = demo()
    new["vpcs"]["main"]["enable_dns_support"] = False
    del new["vpcs"]["main"]["enable_dns_hostnames"]
    new["instances"]["web"] |= {"instance_type": "t3.small", "count": 1}
    new["security_groups"]["web"]["ingress"] = [{"protocol": "tcp", "port": 81, "security_group": "load-balancer"}]
    new["target_groups"]["web"]["health_check"]["interval_seconds"] = 15
    new["target_groups"]["web"]["tags"] = {"role": "web"}
    new["load_balancers"]["public"]["listeners"]["alt"] = {
        "protocol": "HTTP", "port": 8080, "default_action": {"forward": "web"},
    }  # fmt: skip
    for name, spec in (("old", demo()), ("new", new)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return tmp_path


def test_a_share_of_another_count_is_no_difference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, count, settle in (("few", 4, "30s"), ("many", 5, "30s"), ("slow", 5, "40s")):
        spec = demo()
        spec["instances"]["web"] |= {"count": count, "rollout": {"settle": settle}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    assert main(["diff", "few.yaml", "many.yaml"]) == 0
    assert capsys.readouterr().out.endswith("\n\n2 to create, 0 to update, 0 to replace, 0 to delete.\n")
    assert main(["diff", "many.yaml", "slow.yaml"]) == 0
    assert capsys.readouterr().out.endswith("\n\n0 to create, 5 to update, 0 to replace, 0 to delete.\n")


@pytest.mark.usefixtures("folder")
def test_it_reads_as_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "old.yaml", "new.yaml"]) == 0
    assert (
        capsys.readouterr().out
        == """\
old.yaml → new.yaml

  ~ vpc.main
      enable_dns_support  (not set) → false
      no longer managed: enable_dns_hostnames
  ~ security_group_rules.web
      - ingress tcp 80 from security_group.load-balancer
      - ingress tcp 81-9000 from security_group.load-balancer
      + ingress tcp 81 from security_group.load-balancer
  -/+ instance.web-1
      instance_type  t3.micro → t3.small
  ~ target_group.web
      health_check.interval_seconds  10 → 15
      tags.role                      (not set) → web
  + listener.public/alt
  - registration.web/web-2:80
  - instance.web-2

1 to create, 3 to update, 1 to replace, 2 to delete.
"""
    )


@pytest.mark.usefixtures("folder")
def test_codes_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "old.yaml", "new.yaml", "--detailed-exitcode", "--format", "json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == 1
    assert [item["action"] for item in found["differences"]].count("update") == 3
    assert main(["diff", "old.yaml", "old.yaml", "--detailed-exitcode"]) == 0
    assert "They want the same." in capsys.readouterr().out
    assert main(["diff", "old.yaml", "none.yaml"]) == 3
    assert "none.yaml:1:1: can't be read" in capsys.readouterr().err
