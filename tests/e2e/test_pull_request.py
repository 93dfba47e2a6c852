"""The example for GitHub, step by step as a runner runs it, on the sandbox: the plan, the refused plan, the comment that stays one."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.tool import Tool
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKFLOW = yaml.safe_load((Path(__file__).parent.parent.parent / "examples" / "github-actions.yaml").read_text())

GH = """#!{python}
'''GitHub's own client, as far as the example uses it, over a file of comments.'''
import json, os, subprocess, sys
place, words = os.environ["COMMENTS"], sys.argv[1:]
assert words.pop(0) == "api" and os.environ["GH_TOKEN"]
comments = json.load(open(place)) if os.path.exists(place) else []
option = lambda name: words[words.index(name) + 1] if name in words else ""
path = next(word for word in words if word.startswith("repos/"))
if option("--method"):
    field, _, file = option("--field").partition("=@")
    said = {{field: open(file).read()}}
    if option("--method") == "POST":
        assert path == "repos/ann/stacks/issues/7/comments"
        comments.append({{"id": len(comments) + 1, "user": {{"login": "github-actions[bot]"}}}} | said)
    else:
        number = int(path.removeprefix("repos/ann/stacks/issues/comments/"))
        next(item for item in comments if item["id"] == number).update(said)
    json.dump(comments, open(place, "w"))
else:
    assert path == "repos/ann/stacks/issues/7/comments?per_page=100" and "--paginate" in words
    text = json.dumps(comments)
    sys.exit(subprocess.run(["jq", "--raw-output", option("--jq")], input=text, text=True).returncode)
"""


class Runner:
    """Runs the shell steps of the workflow's jobs, in one folder."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self.bin = tool.folder / "bin"
        self.bin.mkdir()
        self._program("gh", GH.format(python=sys.executable))
        command = tool.arguments("plan")[0]
        # of the job's options only the place is another one
        self._program("alb-reconcile", f'#!/bin/sh\nexec {command} "$@" --sandbox\n')
        self.comments = tool.folder / "comments.json"
        self.summary = tool.folder / "summary.md"

    def _program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(stat.S_IRWXU)

    def run(self, job: str, name: str, expect: int = 0, allow: str = "") -> None:
        (step,) = (item for item in WORKFLOW["jobs"][job]["steps"] if item.get("name") == name)
        values = {"STACK": "shop", "ALLOW": allow, "NUMBER": "7", "GH_TOKEN": "token"}
        environment = self.tool.environment | {
            **{key: values[key] for key in step["env"]},
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_REPOSITORY": "ann/stacks",
            "COMMENTS": str(self.comments),
        }
        # "bash -e {0}" is what a step without `shell` gets
        ended = subprocess.run(
            ["bash", "-e", "-c", step["run"]], cwd=self.tool.folder, env=environment, timeout=GUARD, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
        )  # fmt: skip
        assert ended.returncode == expect, ended.stdout + ended.stderr

    def bodies(self) -> list[str]:
        found: list[dict[str, Any]] = json.loads(self.comments.read_text())
        return [item["body"] for item in found]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    tool = Tool(tmp_path_factory.mktemp("runner"), "--sandbox")
    (tool.folder / "stacks").mkdir()
    tool.run("sandbox", "start", "--speed", "100")
    yield Runner(tool)
    tool.run("sandbox", "stop")


def test_a_pull_request_has_one_comment_that_is_the_last_plan(runner: Runner) -> None:
    spec = runner.tool.folder / "stacks" / "shop.yaml"
    others = [{"id": 1, "user": {"login": "eve"}, "body": "<!-- plan of shop -->"}]
    runner.comments.write_text(json.dumps(others))
    vpc = "stack: shop\nregion: us-east-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n"

    spec.write_text(vpc)
    runner.run("plan", "Plan")
    runner.run("comment", "Comment")
    assert runner.bodies()[0] == others[0]["body"]
    assert runner.bodies()[1].startswith("<!-- plan of shop -->\n### Plan of `shop · us-east-1")
    assert "\n+ vpc.main" in runner.bodies()[1]
    assert (runner.tool.folder / "shop.plan").exists()

    runner.tool.run("apply", "--yes", "stacks/shop.yaml")
    spec.write_text(f"{vpc.replace('main', 'other')}policy: {{never_delete: [vpc]}}\n")
    runner.run("plan", "Plan", expect=4)
    runner.run("comment", "Comment")
    assert "Refused." in runner.bodies()[1]
    assert "\n- vpc.main" in runner.bodies()[1]
    allowed = "never-delete=1 delete=1"
    runner.run("plan", "Plan", allow=allowed)
    runner.run("apply", "Apply", expect=4)
    runner.run("apply", "Apply", allow=allowed)

    spec.write_text(f"{vpc}vpcz: {{}}\n")
    runner.run("plan", "Plan", expect=3)
    runner.run("comment", "Comment")
    assert "Exit code 3" in runner.bodies()[1]
    assert "vpcz" in runner.bodies()[1]
    assert len(runner.bodies()) == 2
    assert runner.summary.read_text().count("\n###") + runner.summary.read_text().startswith("###") == 4
