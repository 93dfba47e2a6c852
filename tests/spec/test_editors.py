"""Shipped specs in editors: what others' programs say of them by the schema that `alb-reconcile schema` prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.cli.render.editor_schema import accept_variables
from alb_reconcile.cli.render.schema import bundle

if TYPE_CHECKING:
    pass

ROOT = Path(__file__).parent.parent.parent
SHIPPED = [*sorted((ROOT / "specs").rglob("*.yaml")), ROOT / "alb_reconcile/starter.yaml"]
LINE = "# yaml-language-server: $schema=stack.schema.json\n"
WRONG = (
    f"{LINE}stack: shop\nregion: ${{REGION}}\ntarget_groups:\n  web:\n    protocol: ${{PROTOCOL}}\n    port: eighty\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with the schema, and a spec that has one mistake."""
    place = tmp_path_factory.mktemp("editors")
    (place / "stack.schema.json").write_text(json.dumps(accept_variables(bundle())), encoding="utf-8")
    (place / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    return place


def check(folder: Path, *files: Path) -> tuple[int, str]:
    """check-jsonschema reads patterns as JavaScript does, and YAML 1.2."""
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(folder / "stack.schema.json")]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_check_jsonschema_accepts_what_is_shipped(folder: Path) -> None:
    assert any("${" in file.read_text(encoding="utf-8") for file in SHIPPED)
    assert check(folder, *SHIPPED) == (0, "ok -- validation done\n")


def test_check_jsonschema_finds_what_is_wrong(folder: Path) -> None:
    code, told = check(folder, folder / "wrong.yaml")
    assert code == 1
    assert "$.target_groups.web.port" in told
    assert "protocol" not in told
