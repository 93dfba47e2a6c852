"""`sync` as a scheduler runs it: what it says of each state of a stack, and its log lines off a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.golden.by_hand import mine

if TYPE_CHECKING:
    from tests.golden.scene import Scene

STACK: Final = """\
stack: {name}
region: us-east-1
vpcs:
  main: {{cidr_block: 10.{number}.0.0/16}}
security_groups:
  web: {{description: web, ingress: [{{protocol: tcp, port: 80, cidr_block: 10.0.0.0/8}}]}}
"""
DRIFT: Final = "somebody renames a VPC"


def stacks(scene: Scene) -> None:
    """Two stacks, applied."""
    for number, name in enumerate(("one", "two"), 1):
        scene.write(f"stacks/{name}.yaml", STACK.format(name=name, number=number))
        scene.run("apply", "--yes", f"stacks/{name}.yaml")


def disturb(scene: Scene, stack: str) -> None:
    """Somebody renames the stack's VPC."""
    scene.note(f"{DRIFT} of {stack}")
    for vpc in mine(scene.account, "vpc"):
        if {"Key": "alb-reconcile:stack", "Value": stack} in vpc["Tags"]:
            scene.account.ec2.create_tags(Resources=[vpc["VpcId"]], Tags=[{"Key": "Name", "Value": "another"}])


def test_sync(scene: Scene) -> None:
    """In order, drift, a spec that isn't applied, and broken ones; one stack and many."""
    stacks(scene)
    scene.run("sync", "stacks")
    scene.run("sync", "--format", "json", "stacks/one.yaml")
    scene.run("sync", "-q", "stacks/*.yaml")
    disturb(scene, "two")
    scene.run("plan", "stacks/two.yaml")
    scene.run("sync", "stacks")
    disturb(scene, "two")
    scene.run("sync", "-v", "--format", "json", "stacks/two.yaml")
    scene.write("stacks/one.yaml", STACK.format(name="one", number=1) + "  more: {description: more}\n")
    disturb(scene, "two")
    scene.run("sync", "-q", "stacks")
    scene.run("sync", "--format", "json", "stacks/one.yaml")
    scene.run("sync", "--apply-changes", "stacks/one.yaml")
    scene.write("stacks/bad.yaml", "stack: bad\nregion: nowhere\n")
    scene.write("stacks/again.yml", STACK.format(name="one", number=1))
    scene.run("sync", "stacks")
    scene.run("sync", "--format", "json", "stacks")
    scene.run("sync", "stacks/bad.yaml", "gone.yaml")
    scene.run("history", "stacks/two.yaml")
    scene.check()


def test_sync_gone(scene: Scene) -> None:
    """A stack of which nothing is there: destroyed by somebody else, destroyed here, released here."""
    scene.write("one.yaml", STACK.format(name="one", number=1))
    scene.run("apply", "--yes", "one.yaml")
    scene.run("sync", "one.yaml")
    scene.run("destroy", "--yes", "one.yaml", ALB_RECONCILE_STATE_DIR=str(scene.folder / "somebody-else"))
    scene.run("sync", "-q", "--issue", "issues", "one.yaml")
    scene.run("plan", "one.yaml")
    for command in ("destroy", "release"):
        scene.run("apply", "--yes", "one.yaml")
        scene.run(command, "--yes", "one.yaml")
        scene.run("sync", "-q", "one.yaml")
    scene.check()
