"""A release: its version is the same everywhere, and the workflows that test and publish it may do no more than they need."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from alb_reconcile.model.version import __version__
from scripts.release import problems
from tests.packaging.test_packages import UV, run

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
ZIZMOR = "zizmor==1.32.0"


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    newest, *_ = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest == __version__
    pages = (page.read_text(encoding="utf-8") for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    assert {found for text in pages for found in re.findall(r"alb_reconcile-([\d.]+\d)-", text)} == {__version__}


@pytest.mark.parametrize(
    ("version", "tags", "changed", "head", "told"),
    [
        ("1.2.0", ["v1.2.0"], [], "1.2.0 (2026-12-01)", []),
        ("1.2.0", ["other", "v1.2.0"], [], "1.2.0 (2026-12-01)", []),
        ("1.2.1", ["v1.2.1"], [], "1.2.1 (2026-12-01)", ["pyproject.toml says 1.2.0, and the program says 1.2.1"]),
        ("1.2.0", ["v1.2.1"], [], "1.2.0 (2026-12-01)", ["the commit has the tags ['v1.2.1'], and none of them is v1.2.0"]),
        ("1.2.0", ["v1.2.0"], [], "1.2.0 (unreleased)", ["the changelog begins with '1.2.0 (unreleased)'; give 1.2.0 its date"]),
        ("1.2.0", ["v1.2.0"], [], "1.1.0 (2026-12-01)", ["the changelog begins with '1.1.0 (2026-12-01)'; give 1.2.0 its date"]),
        ("1.2.0", ["v1.2.0"], ["a.py"], "1.2.0 (2026-12-01)", ["files differ from the commit: a.py"]),
    ],
)  # fmt: skip
def test_what_keeps_a_checkout_from_being_released(
    version: str, tags: list[str], changed: list[str], head: str, told: list[str], tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {head}\n\n## 1.0.0 (2026-01-01)\n")
    assert problems(tmp_path, version, tags, changed) == told


def jobs(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]
    return found


def steps() -> list[Any]:
    return [step for file in WORKFLOWS for job in jobs(file).values() for step in job.get("steps", ())]


def test_no_script_takes_anything_of_an_event() -> None:
    """Titles and names of branches are others' texts: no script has them, not even by its environment."""
    scripts = [step for step in steps() if "run" in step]
    assert len(scripts) > 4
    for step in scripts:
        assert "${{" not in step["run"]
        assert not re.search(r"GITHUB_(HEAD_REF|REF_NAME|REF|BASE_REF|EVENT_PATH)\b", step["run"])
        assert not {"env", "shell", "working-directory"} & set(step)
    for file in WORKFLOWS:
        text = file.read_text(encoding="utf-8")
        assert set(re.findall(r"\$\{\{(.*?)\}\}", text)) <= {
            " github.workflow ",
            " github.ref ",
            " github.event_name == 'pull_request' ",
        }
        assert "pull_request_target" not in text
        assert "workflow_run" not in text
        assert "secrets" not in text


def test_every_action_is_pinned_by_its_commit() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert len(used) > 8
    assert [name for name in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", name)] == []


def test_only_the_job_that_publishes_may_do_more_than_read() -> None:
    for file in WORKFLOWS:
        assert yaml.safe_load(file.read_text(encoding="utf-8"))["permissions"] == {}
        for name, job in jobs(file).items():
            assert job["permissions"] == ({"id-token": "write"} if name == "publish" else {"contents": "read"})
            assert "timeout-minutes" in job or "uses" in job
    for step in steps():
        assert not step.get("uses", "").startswith("actions/checkout@") or step["with"]["persist-credentials"] is False


def test_what_is_published_was_tested_and_runs_nothing_of_this_repository() -> None:
    found = jobs(ROOT / ".github" / "workflows" / "release.yaml")
    publish = found["publish"]
    assert set(publish["needs"]) == {"ci", "build"}
    assert found["ci"]["uses"] == "./.github/workflows/ci.yaml"
    assert publish["environment"]["name"] == "pypi"
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert publish["steps"][-1]["with"]["attestations"] is True


def test_continuous_integration_runs_what_there_is() -> None:
    """Each part of `.ci/run` in a job of its own."""
    parts = re.findall(r"^all \| ([\w-]+)\)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    found = jobs(ROOT / ".github" / "workflows" / "ci.yaml")
    assert [job["steps"][-1]["run"] for job in found.values()] == [f".ci/run {part}" for part in parts]
    assert list(found) == ["check", "test", "slow"]


@pytest.mark.slow
def test_zizmor_finds_nothing(tmp_path: Path) -> None:
    run(UV, "tool", "run", "--from", ZIZMOR, "zizmor", "--offline", "--no-progress", *WORKFLOWS, folder=tmp_path)
