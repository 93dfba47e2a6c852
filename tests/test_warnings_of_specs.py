"""Who is told the warnings of a spec: whoever checks, plans or applies it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """\
stack: shop
region: us-nowhere-1
vpcs:
  main: {cidr_block: 10.0.0.0/16}
"""


@pytest.mark.parametrize(
    ("command", "told"),
    [("validate", True), ("plan", True), ("apply", True), ("status", False), ("graph", False), ("verify", False), ("adopt", False)],
)  # fmt: skip
def test_only_who_can_mend_it_is_warned(
    command: str, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (tmp_path / "shop.yaml").write_text(SPEC)
    main([command, str(tmp_path / "shop.yaml")])
    shown = capsys.readouterr()
    assert ("warning: region" in shown.out + shown.err) is told, shown.err
