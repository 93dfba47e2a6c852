"""The life of a stack: plan, apply, status, destroy; what is refused, what fails, and what a terminal shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.golden.by_hand import protect, tags_of

if TYPE_CHECKING:
    from tests.golden.scene import Scene

pytestmark = pytest.mark.slow

SMALL: Final = """\
stack: small
region: us-east-1
vpcs:
  main: {cidr_block: 10.1.0.0/16}
subnets:
  a: {cidr_block: 10.1.1.0/24, availability_zone: a}
"""
GROUP: Final = """\
security_groups:
  web: {description: web, ingress: [{protocol: tcp, port: 80, cidr_block: 10.0.0.0/8}]}
"""
HUGE: Final = """\
instances:
  web:
    image_id: resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64
    instance_type: p5.48xlarge
    subnets: [a]
    security_groups: [web]
"""


def changed(scene: Scene, *changes: tuple[str, str], file: str = "demo.yaml", to: str = "demo.yaml") -> None:
    """A spec with other words in it, which the transcript tells."""
    text = (scene.folder / file).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
        scene.note(f"{to}: {old!r} becomes {new!r}")
    (scene.folder / to).write_text(text)


def alone(scene: Scene) -> None:
    """One instance in one subnet: of two equal ones the order, and the choice, hang on their ids, which are random."""
    changed(
        scene,
        ("\n    count: 2", "\n    count: 1"),
        ("public-a, public-b]\n    security_groups: [web]", "public-a]\n    security_groups: [web]"),
    )


def test_life(scene: Scene) -> None:
    """Created, in order, looked at, and destroyed."""
    alone(scene)
    scene.run("plan", "demo.yaml")
    scene.run("plan", "--detailed-exitcode", "--format", "json", "--out", "saved", "demo.yaml")
    scene.show("cat saved", (scene.folder / "saved").read_text())
    scene.run("apply", "demo.yaml")
    scene.run("status", "demo.yaml")
    scene.run("destroy", "--yes", "demo.yaml")
    scene.run("apply", "--yes", "--plan", "saved", "-v", "demo.yaml")
    scene.show("the tags of what was made", tags_of(scene.account))
    scene.run("apply", "--yes", "--plan", "saved", "demo.yaml")
    scene.run("apply", "demo.yaml")
    scene.run("plan", "--detailed-exitcode", "-vv", "demo.yaml")
    scene.run("plan", "--format", "json", "demo.yaml")
    scene.run("status", "demo.yaml")
    scene.run("status", "--format", "json", "demo.yaml")
    scene.run("stacks")
    scene.run("plan", "--destroy", "demo.yaml")
    scene.run("plan", "--destroy", "--format", "json", "demo.yaml")
    scene.run("destroy", "demo.yaml")
    scene.run("destroy", "--yes", "--stack", "demo", "--region", "us-east-1")
    scene.run("destroy", "--yes", "demo.yaml")
    scene.run("stacks")
    scene.check()


def test_changes(scene: Scene) -> None:
    """Updated in place, rolled, and grown; each planned in both formats first."""
    scene.run("apply", "--yes", "demo.yaml")
    changed(
        scene,
        ("interval_seconds: 10", "interval_seconds: 5, timeout_seconds: 2"),
        ("port: 80, cidr_block: 0.0.0.0/0}", "from_port: 80, to_port: 443, cidr_block: 0.0.0.0/0}"),
        ("{service: demo}", "{service: web}"),
    )
    scene.run("plan", "demo.yaml")
    scene.run("plan", "--format", "json", "demo.yaml")
    scene.run("apply", "--yes", "demo.yaml")
    changed(scene, ("t3.micro", "t3.small"))
    scene.run("plan", "demo.yaml")
    scene.run("plan", "--format", "json", "--detailed-exitcode", "demo.yaml")
    scene.run("apply", "--yes", "demo.yaml")
    changed(scene, ("\n    count: 2", "\n    count: 1"))
    scene.run("apply", "--yes", "demo.yaml")
    changed(
        scene,
        ("port: 80\n    targets", "port: 8080\n    targets"),
        ("port: 80, security_group", "from_port: 80, to_port: 8080, security_group"),
    )
    scene.run("plan", "demo.yaml")
    scene.run("apply", "--yes", "demo.yaml")
    scene.run("plan", "--detailed-exitcode", "demo.yaml")
    scene.check()


def test_refusals(scene: Scene) -> None:
    """What limits, protection and policy are for."""
    alone(scene)
    scene.run("apply", "--yes", "demo.yaml")
    protect(scene.account)
    scene.note("somebody switches the protection of the load balancer and of web-1 on")
    changed(scene, ("10.0.0.0/16, ", "10.0.0.0/17, "), to="moved.yaml")
    changed(scene, ("scheme: internet-facing", "scheme: internal"), to="internal.yaml")
    changed(scene, ("public-a]\n    security_groups: [web]", "public-a]\n    security_groups: [load-balancer]"),
            ("t3.micro", "t3.large"), ("{max_surge: 1}", "{max_unavailable: 1}"), to="large.yaml")  # fmt: skip
    changed(scene, ("main: {cidr", "main: {prevent_destroy: true, cidr"), to="kept.yaml")
    scene.write("small.yaml", "stack: demo\nregion: us-east-1\nvpcs:\n  main: {cidr_block: 10.0.0.0/16}\n")
    scene.write(
        "policy.yaml",
        "max_deletions: 0\nmax_replacements: 1\nmax_touched: 10%\nnever_delete: [instance]\n"
        "windows: [{days: [mon], from: '00:00', to: '00:01'}]\n",
    )
    for spec in ("moved.yaml", "internal.yaml", "large.yaml", "small.yaml"):
        scene.run("plan", spec)
    scene.run("plan", "--format", "json", "small.yaml")
    scene.run("apply", "--yes", "small.yaml")
    scene.run("apply", "--yes", "--allow", "delete=3", "--allow", "delete-load-balancer=1", "small.yaml")
    scene.run("apply", "--yes", "--policy", "policy.yaml", "--allow", "any-time", "large.yaml")
    scene.write("monday.yaml", "max_replacements: 0\nwindows: [{days: [mon]}]\n")
    changed(
        scene,
        ("stack: demo\n", "stack: demo\npolicy: {windows: [{days: [tue]}]}\n"),
        file="large.yaml",
        to="tuesday.yaml",
    )
    scene.run("apply", "--yes", "--policy", "monday.yaml", "tuesday.yaml")
    scene.run("destroy", "--yes", "demo.yaml")
    scene.run("destroy", "--yes", "--policy", "policy.yaml", "--allow", "any-time", "demo.yaml")
    scene.run("apply", "--yes", "kept.yaml")
    scene.run("destroy", "--yes", "kept.yaml")
    scene.write("other.yaml", SMALL.replace("vpcs:", 'account_ids: ["999999999999"]\nvpcs:'))
    for command in (("plan",), ("apply", "--yes"), ("status",), ("destroy", "--yes"), ("verify",)):
        scene.run(*command, "other.yaml")
    scene.write("bad-policy.yaml", "max_deletions: some\nwindow: []\n")
    scene.run("plan", "--policy", "bad-policy.yaml", "demo.yaml")
    scene.check()


def test_failures(scene: Scene) -> None:
    """A step that fails, and its record; a plan that is stale, missing, or none."""
    scene.write("broken.yaml", SMALL + GROUP + HUGE)
    scene.run("apply", "--yes", "broken.yaml")
    scene.run("status", "broken.yaml")
    scene.run("status", "--format", "json", "broken.yaml")
    scene.write("small.yaml", SMALL)
    scene.run("plan", "--out", "saved", "small.yaml")
    scene.write("small.yaml", SMALL + GROUP)
    scene.run("apply", "--yes", "--plan", "saved", "small.yaml")
    scene.run("apply", "--yes", "--plan", "missing", "small.yaml")
    (scene.folder / "none").write_text("{}")
    scene.run("apply", "--yes", "--plan", "none", "small.yaml")
    scene.run("plan", "--out", "/dev/full", "small.yaml")
    scene.run("plan", "--out", "/nonexistent/plan", "small.yaml")
    scene.run("plan", "gone.yaml")
    scene.run("history", "small.yaml")
    scene.check()
