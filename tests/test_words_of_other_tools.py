"""What people of Terraform, kubectl, Ansible and aws-cli type is answered with what it is called here, and never with something else."""

from __future__ import annotations

import re

import pytest

from alb_reconcile.cli.main import main
from alb_reconcile.cli.options.forgiving import Parser
from alb_reconcile.cli.options.parser import make_parser
from tests.test_cli_options import find_commands

TYPED = (
    """
--json|-json|-o json|--output json|--output=json|-o yaml|--auto-approve|-auto-approve|--force|-force|--approve|--no-input|--confirm
--target x|-target=x|--dry-run|--dry-run=client|--verbose|--wait|--wait=false|--no-wait|--no-sandbox|--no-verify|--no-destroy
--var a=b|-var a=b|--var-file x|-var-file=x|-e a=b|--extra-vars a=b|--check|-C|--diff|-D|--yes|--debug|--quiet|--silent|--start|--stop
-i x|--limit x|--tags x|-n x|--namespace x|--context x|--query x|--no-cli-pager|--no-color|-no-color|--color|--refresh=false
-refresh-only|--replace x|-destroy|--destroy|--lock=false|-lock-timeout=5m|--input=false|-parallelism=5|--state x|--out x|-out=x
--watch|-w|--all|-A|-l a=b|-f x|--filename x|--prune|--recursive|--become|--list|--save x|--server-side|--insecure|--no-insecure
--no-verify-ssl|--skip-verify|--no-validate|--security|--no-lock|--keep|--delete|--traffic|--version|--websock|--tracee
""".replace("\n", "|")
    .strip("|")
    .split("|")
)
READING = {
    "validate", "explain", "plan", "status", "graph", "report", "verify", "history", "diff", "stacks", "schema", "help", "lock show",
}  # fmt: skip
OURS = {"--format", "--yes", "--set", "--out", "--max-workers", "-v", "--websocket", "--trace", "--tag"}
PARSER = make_parser()
ALL = [tuple(name.split()) for name, _ in find_commands(PARSER)]


@pytest.fixture(autouse=True)
def no_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """To lay it out takes most of the time."""
    monkeypatch.setattr(Parser, "print_usage", lambda *_: None)


def _answer(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said about them; empty where they are understood."""
    capsys.readouterr()
    try:
        PARSER.parse_args(words)
    except SystemExit:
        return capsys.readouterr().err.strip().partition(": ")[2]
    return ""


@pytest.mark.parametrize("typed", TYPED)
def test_no_option_is_answered_with_the_opposite_or_another_aws(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    option = "--" + typed.partition(" ")[0].partition("=")[0].lstrip("-")
    for words in ALL:
        answer = _answer(capsys, *words, *typed.split())
        (meant,) = re.findall(r"did you mean (.+)\?", answer) or [""]
        assert meant != "--sandbox", (words, answer)
        assert meant.replace("--no-", "--") != option.replace("--no-", "--") or meant == option, (words, answer)
        if meant and meant.split()[0] != option:
            assert meant.split()[0] in OURS
        assert "destroy" not in meant or "destroy" in typed, (words, answer)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("plan --json", "did you mean --format json?"),
        ("verify -json", "did you mean --format json?"),
        ("status -o json", "did you mean --format json?"),
        ("status --output=json", "did you mean --format json?"),
        ("plan -out=a.plan", "did you mean --out?"),
        ("plan -o a.plan", "did you mean --out FILE?"),
        ("plan -destroy", "did you mean --destroy?"),
        ("apply -auto-approve", "did you mean --yes?"),
        ("destroy --force", "did you mean --yes?"),
        ("apply -var a=b", "did you mean --set NAME=VALUE?"),
        ("apply -var-file=x", "did you mean --set NAME=VALUE?"),
        ("apply --dry-run", "alb-reconcile plan shows what it would do"),
        ("destroy --check", "alb-reconcile plan --destroy shows what it would do"),
        ("fleet apply --diff", "alb-reconcile fleet plan shows what it would do"),
        ("adopt s.yaml --dry-run", "without --yes it shows what it would do, and asks"),
        ("apply -f s.yaml", "name the file without -f"),
        ("apply --wait", "that is so unless --no-wait is given"),
        ("apply --no-sandbox", "that is so unless --sandbox is given"),
        ("plan --formt json", "did you mean --format?"),
        ("apply --target x", ""),
        ("stacks -f x", ""),
    ],
)  # fmt: skip
def test_an_option_of_another_tool_is_answered_with_what_there_is_here(
    typed: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _answer(capsys, *typed.split()).startswith("unrecognized arguments: ")
    assert _answer(capsys, *typed.split()).partition("; ")[2] == answer
    assert main(typed.split()) == 64


@pytest.mark.parametrize(
    "word",
    ["lint", "check", "test", "show", "describe", "get", "list", "ls", "state", "output", "preview", "drift", "refresh", "logs", "version"],
)  # fmt: skip
def test_who_means_to_read_is_not_sent_to_a_command_that_writes(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    (meant,) = re.findall(r"did you mean (.+)\?", _answer(capsys, word)) or ["help"]
    assert meant in READING


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("lint", "validate"),
        ("deploy", "apply"),
        ("delete", "destroy"),
        ("release", "forget"),
        ("plna", "plan"),
        ("val", "validate"),
    ],
)
def test_a_command_of_another_tool(word: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _answer(capsys, word).endswith(f"did you mean {meant}?")
