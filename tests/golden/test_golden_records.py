"""What runs leave behind: the history and its file, metrics, and what a webhook is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.golden.test_golden_runs import GROUP, HUGE, SMALL
from tests.journal.receiver import receiving

if TYPE_CHECKING:
    from tests.golden.scene import Scene


def told(scene: Scene, title: str, headers: dict[str, str], body: str) -> None:
    """A message, with the names of its headers."""
    names = sorted(name for name in headers if name.startswith("webhook-") or name == "content-type")
    agent = headers["user-agent"]
    scene.show(f"{title}: the headers", "\n".join([*names, f"user-agent: {agent}"]))
    scene.show_json_lines(title, body)


def later(scene: Scene) -> None:
    """A minute passes for the webhook, which takes one message a minute."""
    memory = scene.state / "webhook.json"
    known = json.loads(memory.read_text())
    for entry in known.values():
        entry["tried"] -= 60
    memory.write_text(json.dumps(known))
    scene.note("a minute later")


@pytest.mark.slow
def test_records(scene: Scene) -> None:
    """A run that fails, one that mends it, one with nothing to do, and the end."""
    scene.write("broken.yaml", SMALL + GROUP + HUGE)
    scene.write("small.yaml", SMALL + GROUP)
    scene.run("history", "small.yaml")
    scene.run("history", "--format", "json", "small.yaml")
    (scene.folder / "secret").write_text("a secret of some length")
    with receiving() as hook:
        (scene.folder / "url").write_text(f"{hook.url}\n")
        options = (
            "--webhook-url-file", "url", "--webhook-secret-file", "secret",
            "--webhook-allow", "private,http", "--metrics-file", "metrics.prom",
        )  # fmt: skip
        scene.run("apply", "--yes", "broken.yaml", *options)
        later(scene)
        scene.run("apply", "--yes", "small.yaml", *options)
        scene.run("sync", "small.yaml", *options)
        scene.show("cat metrics.prom", (scene.folder / "metrics.prom").read_text())
        for number, (_, _, headers, body) in enumerate(hook.requests, 1):
            told(scene, f"message {number} to the webhook", headers, body.decode())
    (scene.folder / "url").write_text("http://127.0.0.1:1/hook\n")
    scene.note("from now on the webhook's URL leads to a port where nobody listens")
    scene.run("destroy", "--yes", "small.yaml", *options)
    scene.show("cat metrics.prom", (scene.folder / "metrics.prom").read_text())
    (file,) = (scene.state / "history").glob("*.jsonl")
    scene.show("ls history", file.name)
    scene.show_json_lines("cat history/*", file.read_text())
    scene.run("history", "small.yaml")
    scene.run("history", "--limit", "1", "--format", "json", "small.yaml")
    with file.open("a") as stream:
        stream.write("{torn\n")
    scene.note("a line of the history is torn")
    scene.run("history", "--stack", "small", "--region", "us-east-1", "--limit", "1")
    scene.run("history", "small.yaml", "--state-dir", "elsewhere")
    scene.run("apply", "--yes", "small.yaml", "--metrics-file", "/nonexistent/metrics.prom")
    (scene.folder / "strange.prom").write_text("somebody_elses 1\n")
    scene.run("apply", "--yes", "small.yaml", "--metrics-file", "strange.prom")
    scene.run("apply", "--yes", "small.yaml", "--webhook-url-file", "url")
    later(scene)
    scene.run("apply", "--yes", "broken.yaml", *options)
    scene.check()
