"""Metrics and notifications of real runs; and whatever is in their way is a warning, neither a failure nor a delay."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_history import history
from tests.journal.receiver import Receiver, receiving
from tests.processes import GUARD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.tool import Tool

SPEC = "shop.yaml"
SECRET = "a secret of some length"
VPC = "stack: shop\nregion: us-east-1\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n"
HUGE = """
subnets: {a: {cidr_block: 10.0.1.0/24, availability_zone: a}}
security_groups: {web: {description: none}}
instances:
  web:
    image_id: resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64
    instance_type: p5.48xlarge
    subnets: [a]
    security_groups: [web]
"""


@pytest.fixture
def shop(sandbox: Tool, tmp_path: Path) -> Tool:
    (tmp_path / SPEC).write_text(VPC)
    (tmp_path / "broken.yaml").write_text(VPC + HUGE)  # of a type that there is no capacity for
    (tmp_path / "secret").write_text(SECRET)
    return sandbox


def telling(folder: Path, receiver: Receiver, path: str = "/hook") -> tuple[str, ...]:
    """The options that tell a receiver."""
    (folder / "url").write_text(receiver.url.replace("/hook", path) + "\n")
    return (
        "--webhook-url-file", "url", "--webhook-secret-file", "secret", "--webhook-allow", "private,http",
    )  # fmt: skip


def test_metrics_and_notifications(shop: Tool, tmp_path: Path) -> None:
    """A run that fails, one that puts it right, and one that has nothing to do."""
    with receiving() as receiver:
        options = (*telling(tmp_path, receiver, "/services/T0KEN"), "--metrics-file", "x.prom")
        texts = [shop.run("apply", "--yes", "broken.yaml", *options, expect=1).stderr]
        memory = tmp_path / "home" / ".local" / "state" / "alb-reconcile" / "webhook.json"
        told = json.loads(memory.read_text())
        for entry in told.values():
            entry["tried"] -= 60  # a minute later
        memory.write_text(json.dumps(told))
        texts += [shop.run("apply", "--yes", SPEC, *options).stderr for _ in range(2)]
        messages = [json.loads(body) for _, _, _, body in receiver.requests]
    assert [(item["event"], item["stack"], item["place"]) for item in messages] == [
        ("failing", "shop", "sandbox"),
        ("recovered", "shop", "sandbox"),
    ]
    (step,) = messages[0]["failed"]
    assert (step["key"], bool(step["code"]), bool(step["request_id"])) == (
        "create:instance.web-1",
        True,
        True,
    )
    assert all("webhook" not in text for text in texts)
    metrics = (tmp_path / "x.prom").read_text()
    for line in (
        'runs_total{account="123456789012",command="apply",region="us-east-1",result="failed",stack="shop"} 1.0',
        'runs_total{account="123456789012",command="apply",region="us-east-1",result="in_sync",stack="shop"} 1.0',
        'last_run_result{account="123456789012",region="us-east-1",result="in_sync",stack="shop"} 1.0',
        'api_calls_total{account="123456789012",operation="create_vpc",region="us-east-1",stack="shop"} 1.0',
    ):
        assert f"alb_reconcile_{line}\n" in metrics
    state = memory.parent
    for text in (*texts, metrics, *(file.read_text() for file in state.rglob("*") if file.is_file())):
        assert SECRET not in text
        assert "T0KEN" not in text


@pytest.mark.parametrize(
    ("manner", "because"),
    [
        ("hang", "it took more than 5 s. The next run tries again"),
        ("redirect", "it answered with a redirect (307), which isn't followed; name the final URL"),
    ],
)
def test_a_receiver_that_is_none(shop: Tool, tmp_path: Path, manner: str, because: str) -> None:
    """One warning, though the receiver never answers, and the run's own exit code."""
    with receiving() as inside, receiving(manner="hang" if manner == "hang" else "answer") as receiver:
        receiver.status, receiver.location = 307, inside.url
        ended = shop.run("apply", "--yes", "broken.yaml", *telling(tmp_path, receiver), expect=1)
        assert (len(receiver.requests), inside.requests) == (1, [])
    (warning,) = [line for line in ended.stderr.splitlines() if "webhook" in line]
    assert warning.startswith("the webhook at http://127.0.0.1 didn't get 'failing': ")
    assert because in warning


def test_a_full_disk(shop: Tool, tmp_path: Path) -> None:
    """No file of the run's may grow, as on a full disk: the history of before is still there, and the run is done."""
    kept = ("--state-dir", "state", "--metrics-file", "x.prom")
    shop.run("apply", "--yes", SPEC, *kept)
    before = {file: file.read_bytes() for file in (tmp_path / "x.prom", *tmp_path.glob("state/history/*"))}
    command = ["bash", "-c", 'ulimit -f 0; exec "$@"', "-", *shop.arguments("apply", "--yes", SPEC, *kept)]
    ended = subprocess.run(
        command, cwd=tmp_path, env=shop.environment, capture_output=True, encoding="utf-8", timeout=GUARD, check=False
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "Converged." in ended.stdout
    assert [line.partition(": ")[0] for line in ended.stderr.splitlines()] == [
        "this run isn't in the history",
        "this run isn't in the metrics",
    ]
    assert ended.stderr.count("can't be written: file too large; its old content is still there; free up space") == 2
    assert {file: file.read_bytes() for file in before} == before
    shop.run("destroy", "--yes", SPEC, *kept)
    assert (tmp_path / "x.prom").read_text() == ""
    ended = shop.run("history", "--format", "json", SPEC, *kept[:2])
    assert [run["command"] for run in json.loads(ended.stdout)["runs"]] == ["destroy", "apply"]


def test_mistakes_are_told_before_anything_is_changed(shop: Tool, tmp_path: Path) -> None:
    for content, options, text in (
        (
            "http://x.example.com/T0KEN",
            ("--webhook-secret-file", "secret"),
            "has to begin with https://; correct it in url, or allow http:// by --webhook-allow http",
        ),
        ("https://x.example.com/T0KEN", (), "has no secret to sign with"),
    ):
        (tmp_path / "url").write_text(content)
        ended = shop.run("apply", "--yes", SPEC, "--webhook-url-file", "url", *options, expect=64)
        assert text in ended.stderr
        assert "T0KEN" not in ended.stderr
        assert ended.stderr.count("\n") == 1
    assert [step["action"] for step in shop.plan(SPEC)["steps"]] == ["create"]
    assert history(shop, SPEC) == []
