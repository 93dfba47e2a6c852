"""The sandbox has the regions that the installed SDK knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

from alb_reconcile.aws.transport import BotoTransport
from alb_reconcile.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

SPEC = "stack: odd\nregion: xx-west-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n"


@pytest.mark.parametrize("words", [("plan", "--sandbox"), ("sandbox", "prepare")], ids=" ".join)
def test_one_that_it_does_not_have_is_told_without_starting_it(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALB_RECONCILE_SANDBOX_DIR", str(tmp_path / "sandbox"))
    (tmp_path / "odd.yaml").write_text(SPEC)
    assert main([*words, str(tmp_path / "odd.yaml")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "the sandbox has no region xx-west-1; choose another one, such as us-east-1"
    assert not (tmp_path / "sandbox").exists()


def test_it_has_all_others() -> None:
    assert set(ec2_backends[DEFAULT_ACCOUNT_ID].regions) >= BotoTransport.regions()
