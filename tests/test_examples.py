"""The examples are what they say: command lines that parse, files of their kinds, units of systemd's own words."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import yaml

from alb_reconcile.cli.options.parser import make_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").iterdir())
SHELL = {"|", "||", "&", "&&", ";", ">", ">>", "<", "2>&1"}


def commands_of(file: Path) -> Iterator[str]:
    """The text from `alb-reconcile` to the end of its line, wherever a shell, cron, systemd or a reader would run it."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        lines = [line for line in text.splitlines() if line.startswith("    alb-reconcile")]
        prose = re.sub(r"^(?: {4}.*|```(?:.|\n)*?^```)$", "", text, flags=re.MULTILINE)
        lines += [" ".join(span.split()) for span in re.findall(r"`(alb-reconcile\s[^`]+)`", prose)]
    elif file.suffix == ".yaml":
        found = yaml.safe_load(text)
        steps = [step for job in found.get("jobs", {}).values() for step in job["steps"]]
        lines = [line for step in steps for line in step.get("run", "").splitlines()]
        lines += [shlex.join(["alb-reconcile", *words]) for words in containers(found)]
        lines += [line for line in user_data(found).splitlines() if line.startswith("ExecStart=")]
    else:
        lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in lines:
        # a name alone is a mention
        command = re.search(r"(?:^|[\s/])(alb-reconcile [a-z]+ .*)", line)
        if command:
            yield command[1]


def containers(found: Any) -> Iterator[list[str]]:
    """What containers are started with: those of Kubernetes in a list of objects, and of ECS in a template."""
    for item in found.get("items", ()):
        if item["kind"] == "CronJob":
            yield from (container["args"] for container in pod_of(item)["containers"])
    for item in found.get("Resources", {}).values():
        yield from (task["Command"] for task in item.get("Properties", {}).get("ContainerDefinitions", ()))


def user_data(found: Any) -> str:
    """What an instance of a template starts with."""
    templates = (item["Properties"].get("LaunchTemplateData") for item in found.get("Resources", {}).values())
    return "".join(item["UserData"]["Fn::Base64"]["Fn::Sub"] for item in templates if item)


def pod_of(job: Any) -> dict[str, Any]:
    pod: dict[str, Any] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return pod


def arguments_of(command: str) -> list[str]:
    """What follows the program's name, up to a comment or whatever the shell makes of the rest."""
    return list(takewhile(lambda word: word not in SHELL, shlex.split(command, comments=True)[1:]))


PARSER = make_parser()


def test_every_command_line_parses(capsys: pytest.CaptureFixture[str]) -> None:
    """Of each example that is there to run the tool. `tests/docs` does the same for pages."""
    silent = {"prometheus-alerts.yaml", "alb-reconcile-sync.timer", "fleet-member-role.yaml"}
    for file in EXAMPLES:
        found = list(commands_of(file))
        assert found or file.name in silent, file
        for command in found:
            try:
                PARSER.parse_args(arguments_of(command))
            except SystemExit:
                pytest.fail(f"{file.name}: {command}\n{capsys.readouterr().err}")


def holds(condition: str, words: dict[str, str]) -> bool:
    """Whether an `if:` of a workflow does; texts and truths are Python's, too."""
    condition = condition.removeprefix("${{").removesuffix("}}").replace("cancelled()", "False")
    for sign, word in {"&&": " and ", "||": " or ", "!=": "≠", "!": " not ", "≠": "!="}.items():
        condition = condition.replace(sign, word)
    named = re.sub(r"[a-z_]+(?:\.[a-z_]+)+", lambda name: repr(words[name[0]]), condition)
    return bool(eval(named.strip()))


class TestGitHubActions:
    """What makes it safe to copy."""

    workflow: dict[Any, Any] = yaml.safe_load((ROOT / "examples" / "github-actions.yaml").read_text())

    def test_every_action_is_pinned_by_its_commit(self) -> None:
        used = [step["uses"] for job in self.workflow["jobs"].values() for step in job["steps"] if "uses" in step]
        assert len(used) > 8
        assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", name) for name in used)

    def test_no_job_may_do_more_than_it_needs(self) -> None:
        assert self.workflow["permissions"] == {}
        for name, job in self.workflow["jobs"].items():
            asks_aws = {"contents": "read", "id-token": "write"}
            assert job["permissions"] == ({"pull-requests": "write"} if name == "comment" else asks_aws)

    def test_nothing_of_an_event_reaches_a_shell(self) -> None:
        runs = [step["run"] for job in self.workflow["jobs"].values() for step in job["steps"] if "run" in step]
        assert not [text for text in runs if "${{" in text]

    def test_whatever_changes_a_stack_waits_for_its_turn(self) -> None:
        groups = [self.workflow["jobs"][name]["concurrency"] for name in ("apply", "sync")]
        assert groups[0] == groups[1]
        assert groups[0]["cancel-in-progress"] is False

    @pytest.mark.parametrize(
        ("event", "ref", "allow", "fork", "jobs"),
        [
            ("pull_request", "refs/pull/7/merge", None, False, {"plan", "comment"}),
            ("pull_request", "refs/pull/7/merge", None, True, set()),
            ("push", "refs/heads/main", None, False, {"plan", "apply"}),
            ("schedule", "refs/heads/main", None, False, {"sync"}),
            ("workflow_dispatch", "refs/heads/main", "", False, {"sync"}),
            ("workflow_dispatch", "refs/heads/main", "replace=13", False, {"plan", "apply"}),
            ("workflow_dispatch", "refs/heads/mine", "", False, set()),
            ("workflow_dispatch", "refs/heads/mine", "replace=13", False, set()),
        ],
    )
    def test_each_event_starts_its_jobs(
        self, event: str, ref: str, allow: str | None, fork: bool, jobs: set[str]
    ) -> None:
        words = {
            "github.event_name": event,
            "github.ref": ref,
            "github.repository": "ann/stacks",
            "github.event.pull_request.head.repo.full_name": "eve/stacks" if fork else "ann/stacks",
            "inputs.allow": allow or "",
        }
        assert self.workflow[True]["workflow_dispatch"]["inputs"].keys() == {"allow"}
        assert {name for name, job in self.workflow["jobs"].items() if holds(job["if"], words)} == jobs
        steps = self.workflow["jobs"]["plan"]["steps"]
        (saved,) = (step for step in steps if step.get("with", {}).get("name", "").startswith("plan-"))
        assert "plan" not in jobs or holds(saved["if"], words) == ("apply" in jobs)

    @pytest.mark.parametrize("job", ["plan", "apply"])
    def test_what_was_allowed_reaches_the_command_word_by_word(self, job: str, tmp_path: Path) -> None:
        (step,) = (item for item in self.workflow["jobs"][job]["steps"] if item.get("name") == job.title())
        assert step["env"]["ALLOW"] == "${{ inputs.allow }}"
        (tmp_path / "alb-reconcile").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > words\n')
        (tmp_path / "alb-reconcile").chmod(0o755)

        def given(allow: str) -> list[str]:
            places = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": "summary"}
            env = places | {"STACK": "shop", "ALLOW": allow}
            # "bash -e {0}" is what a step without `shell` gets
            subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=env, check=True)
            options = PARSER.parse_args((tmp_path / "words").read_text().splitlines())
            assert options.specs == ["stacks/shop.yaml"]
            assert (options.out if job == "plan" else options.plan) == "shop.plan"
            return [word for word in (tmp_path / "words").read_text().splitlines() if "allow" in word]

        assert given("") == []
        assert given("replace=13  any-time") == ["--allow=replace=13", "--allow=any-time"]
        with pytest.raises(SystemExit):
            given("* $(touch made) ;touch made")
        assert not (tmp_path / "made").exists()


class TestKubernetes:
    """Its schemas are tried with kubernetes-validate, by hand; here what makes it safe to copy."""

    objects: ClassVar[dict[str, Any]] = {
        item["kind"]: item for item in yaml.safe_load((ROOT / "examples" / "kubernetes-cronjob.yaml").read_text())["items"]
    }  # fmt: skip

    def test_it_mounts_what_the_image_writes_to(self) -> None:
        image = (ROOT / "Containerfile").read_text()
        (container,) = pod_of(self.objects["CronJob"])["containers"]
        writable = {item["mountPath"] for item in container["volumeMounts"] if not item.get("readOnly")}
        assert writable == set(re.findall(r"^VOLUME (.+)$", image, re.MULTILINE))
        assert f"USER {pod_of(self.objects['CronJob'])['securityContext']['runAsUser']}:" in image


def test_nobody_is_told_to_install_a_name_that_anybody_may_register() -> None:
    """The package isn't in an index: who gets there first decides what such a command runs."""
    advice = re.compile(
        r"\b(?:pip3?|pipx|uvx?)\b[^\n]*\s['\"]?alb-reconcile(?=\[|[=<>~`\")\s]|'(?!s\b)|$)", re.MULTILINE
    )
    assert advice.search("pip install 'alb-reconcile[fleet]'")
    assert advice.search("pipx install alb-reconcile")
    places = [ROOT / name for name in ("alb_reconcile", "docs", "examples", "specs")]
    files = [file for place in places for file in place.rglob("*") if file.suffix in (".py", ".md", ".yaml", ".json")]
    for file in [*files, *ROOT.glob("*.md"), ROOT / "Containerfile"]:
        found = advice.search(file.read_text(encoding="utf-8"))
        assert not found, f"{file}: {found[0] if found else ''}"
