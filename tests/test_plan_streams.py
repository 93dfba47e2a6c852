"""Why a plan is refused stands below it, and on standard error for who keeps the plan in a file; where both are one, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from alb_reconcile.cli.main import main
from tests.harness import demo, world

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("is_one", [True, False])
def test_a_refusal_is_read_once_wherever_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_one: bool
) -> None:
    """Found: `plan > log 2>&1`, as in continuous integration, had it twice."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    spec = demo()
    with world() as aws:
        aws.converge(spec)
        spec["load_balancers"]["public"]["scheme"] = "internal"
        (tmp_path / "demo.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        files = [tmp_path / "out", tmp_path / ("out" if is_one else "err")]
        with files[0].open("a", encoding="utf-8") as out, files[1].open("a", encoding="utf-8") as err:
            monkeypatch.setattr("sys.stdout", out)
            monkeypatch.setattr("sys.stderr", err)
            assert main(["plan", "demo.yaml"]) == 4
    for file in files:
        assert file.read_text(encoding="utf-8").count("allow it with --allow replace-load-balancer=1") == 1
