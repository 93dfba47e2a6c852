"""JSON outputs and their schemas: one for each command, also for how it ends. Every other test's JSON is held to them too."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from alb_reconcile.cli.main import main
from alb_reconcile.cli.options.parser import make_parser
from alb_reconcile.cli.render.schema import output_bundle, output_schemas
from tests.harness import world
from tests.outputs import check
from tests.test_cli_options import find_commands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import World

SPEC = "stack: shop\nregion: us-east-1\nvpcs:\n  main: {cidr_block: 10.0.0.0/16}\n"
JSON = ("--format", "json")


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account, and a folder with a spec."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("ALB_RECONCILE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("ALB_RECONCILE_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "stack.yaml").write_text(SPEC, encoding="utf-8")
    with world() as found:
        yield found


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command with --format json. Returns its exit code, its document, and what people are told."""

    def run(*arguments: str) -> tuple[int, Any, str]:
        code = main([*arguments, *JSON])
        told = capsys.readouterr()
        check([*arguments, *JSON], told.out)
        return code, json.loads(told.out) if told.out else None, told.err

    return run


def test_each_command_that_writes_json_has_a_schema() -> None:
    writing = {
        name.partition(" ")[0]
        for name, command in find_commands(make_parser())
        for action in command._actions
        if "--format" in action.option_strings and "json" in (action.choices or ())
    }
    assert writing == output_schemas().keys() - {"run", "error"}


def test_each_schema_is_one_and_describes_everything() -> None:
    for name in output_schemas():
        whole = output_bundle(name)
        Draft202012Validator.check_schema(whole)
        assert 'schema.json"' not in json.dumps({key: part for key, part in whole.items() if key != "$id"}), name
        assert whole["properties"]["version"]["const"] == (2 if name == "plan" else 1)
        missing = [path for path, part in properties(whole, name) if not {"description", "$ref"} & part.keys()]
        assert missing == []


def properties(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """All properties at any depth, by their path."""
    if isinstance(schema, list):
        for item in schema:
            yield from properties(item, path)
    elif isinstance(schema, dict):
        for key, part in schema.get("properties", {}).items():
            yield f"{path}.{key}", part
        for key, part in schema.items():
            yield from properties(part, f"{path}.{key}")


@pytest.mark.usefixtures("account")
def test_apply_and_destroy_tell_their_runs(ask: Any) -> None:
    code, found, told = ask("apply", "stack.yaml", "--yes")
    assert code == 0
    (run,) = found["runs"]
    assert (run["result"], run["counts"]["create"], run["exit_code"]) == ("corrected", 1, 0)
    assert "Converged." in told
    code, found, _ = ask("history", "stack.yaml")
    assert [item["run"] for item in found["runs"]] == [run["run"]]
    code, found, _ = ask("stacks", "--region", "us-east-1")
    assert found["stacks"] == [{"stack": "shop", "resources": 1}]
    code, found, told = ask("destroy", "stack.yaml", "--yes")
    assert (code, found["runs"][0]["result"]) == (0, "corrected")
    assert "Destroyed" in told


@pytest.mark.usefixtures("account")
def test_whoever_asks_for_json_is_not_asked(ask: Any) -> None:
    code, found, _ = ask("apply", "stack.yaml")
    assert code == 64
    assert found["error"] == {"exit_code": 64, "message": "--format json asks nobody: add --yes"}


def test_a_spec_that_is_wrong_is_told_with_its_places(ask: Any, tmp_path: Path) -> None:
    spec = tmp_path / "wrong.yaml"
    spec.write_text("stack: Shop\nvpcs: {main: {}}\n", encoding="utf-8")
    for command in (("plan",), ("apply", "--yes"), ("status",), ("verify",), ("forget",)):
        code, found, told = ask(*command, str(spec))
        assert code == found["error"]["exit_code"] == 3
        assert {(item["line"], item["path"]) for item in found["error"]["problems"]} >= {(1, "stack")}
        assert f"{spec}:1:8: stack" in told
    code, found, _ = ask("validate", str(spec))
    assert (code, found["specs"][0]["valid"]) == (3, False)
