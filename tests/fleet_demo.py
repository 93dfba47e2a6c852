"""Many accounts as a story, on an AWS that lives on this machine: `make fleet-demo`. Every claim in it is checked."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3

from tests.demo import TOOL, Stage, Untrue, check, heading, paint, perform, say

ACCOUNTS = {str(number) * 12: f"shop-{number}" for number in range(1, 9)}
REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2")
PAGE = Path("build/fleet.html")
CELLS = len(ACCOUNTS) * len(REGIONS)
VISIBILITY = 15
"""Seconds after which the queue hands a dead worker's cell to another one; on AWS one takes 120."""
FLEET = f"""\
fleet: shops
results: results
waves:
  - name: canary
  - name: rest
    failure_tolerance: 20%
defaults:
  role: reconciler
  external_id: demo
  regions: [{", ".join(REGIONS)}]
  stacks: [web.yaml]
  schedule: 1h
  owner: team-a@example.com
accounts:
  - {{account_id: "111111111111", name: shop-1, wave: canary, owner: platform@example.com}}
"""
WEB = """\
stack: web
vpcs:
  main: {cidr_block: 10.0.0.0/16}
target_groups:
  api: {vpc: main, port: 8080, protocol: HTTP}
"""


class Fleet:
    """The stage with a fleet on it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        accounts = [f'  - {{account_id: "{key}", name: {name}}}\n' for key, name in list(ACCOUNTS.items())[1:]]
        (stage.folder / "fleet.yaml").write_text(FLEET + "".join(accounts))
        (stage.folder / "web.yaml").write_text(WEB)
        sqs = stage.client("sqs")
        dead = sqs.create_queue(QueueName="cells-dead")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "5"})
        attributes = {"VisibilityTimeout": str(VISIBILITY), "RedrivePolicy": redrive}
        self.queue = sqs.create_queue(QueueName="cells", Attributes=attributes)["QueueUrl"]

    def owner(self, account: str, region: str) -> Any:
        """boto3's ELBv2 client, as somebody in an account has it."""
        named = {
            "RoleArn": f"arn:aws:iam::{account}:role/reconciler",
            "RoleSessionName": "somebody",
            "ExternalId": "demo",
        }
        given = self.stage.client("sts").assume_role(**named)["Credentials"]
        keys = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        port = json.loads((self.stage.folder / "sandbox" / "sandbox.json").read_text())["port"]
        return boto3.Session(*keys, region).client("elbv2", endpoint_url=f"http://127.0.0.1:{port}")

    def groups(self) -> list[tuple[Any, str]]:
        """All target groups, each with who may delete it."""
        owners = [self.owner(account, region) for account in ACCOUNTS for region in REGIONS]
        return [
            (owner, item["TargetGroupArn"])
            for owner in owners
            for item in owner.describe_target_groups()["TargetGroups"]
        ]

    def worker(self, name: str) -> subprocess.Popen[str]:
        """A worker as a process of its own."""
        say(paint(f"$ alb-reconcile fleet worker --sandbox --queue {self.queue}   # {name}", "1"))
        log = (self.stage.folder / f"{name}.log").open("w")
        command = [TOOL, "fleet", "worker", "--sandbox", "--queue", self.queue]
        return subprocess.Popen(
            command, cwd=self.stage.folder, env=self.stage.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            encoding="utf-8",
        )  # fmt: skip

    def lines(self, name: str, event: str) -> list[dict[str, Any]]:
        """What a worker has logged under an event's name."""
        text = (self.stage.folder / f"{name}.log").read_text()
        found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def depth(self) -> dict[str, Any]:
        """What is in the queue."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.stage.client("sqs").get_queue_attributes(QueueUrl=self.queue, AttributeNames=["All"])
        return {name: int(found["Attributes"][name]) for name in names}


def story(stage: Stage) -> None:
    """The chapters."""
    heading(f"{CELLS} stacks: eight accounts, five regions")
    stage.environment["HOME"] = str(stage.folder)
    stage.quietly("sandbox", "start", "--no-traffic", "--speed", "30")
    fleet = Fleet(stage)
    say((stage.folder / "fleet.yaml").read_text())
    out = stage.run("fleet", "apply", "--sandbox", "--yes")
    check(f": {CELLS} succeeded" in out, "every stack is there, the canary's first")

    heading("Somebody deletes a target group in each")
    before = fleet.groups()
    for owner, arn in before:
        owner.delete_target_group(TargetGroupArn=arn)
    check(len(before) == CELLS and not fleet.groups(), f"{CELLS} target groups are gone")
    out = stage.run("fleet", "enqueue", "--sandbox", "--queue", fleet.queue)
    check(out.startswith(f"{CELLS} cells put"), "each account and region waits in a queue of Amazon SQS")

    heading("Three workers, of which one is killed")
    names = ("worker-1", "worker-2", "worker-3")
    with ExitStack() as stack:
        workers = []
        for name in names:
            process = fleet.worker(name)
            stack.callback(process.kill)
            workers.append(process)
        _until(lambda: len(fleet.lines("worker-1", "cell_begun")) > len(fleet.lines("worker-1", "cell_done")))
        workers[0].kill()
        workers[0].wait()
        lost = fleet.lines("worker-1", "cell_begun")[-1]
        say(f"\nworker-1 was killed (SIGKILL) while it worked on {lost['account']} in {lost['region']}.")
        _until(lambda: not any(fleet.depth().values()), "the queue is empty")
        for process in workers[1:]:
            process.send_signal(signal.SIGTERM)
        check([process.wait() for process in workers[1:]] == [0, 0], "the other two ended well on SIGTERM")
    done = [line for name in names for line in fleet.lines(name, "cell_done") if line["message"] == "done"]
    for name in names:
        say(f"  {name} did {sum(line in done for line in fleet.lines(name, 'cell_done'))} cells")
    again = [line for name in names[1:] for line in fleet.lines(name, "cell_done")]
    check(
        any((line["account"], line["region"]) == (lost["account"], lost["region"]) for line in again),
        "the killed worker's cell was done by another one",
    )
    check(len(fleet.groups()) == CELLS, f"all {CELLS} target groups are back, each once")

    heading("The report")
    out = stage.run("fleet", "status", "--sandbox", "--queue", fleet.queue)
    check(
        "queue: 0 waiting, 0 with workers, none given up" in out,
        "nothing is left in the queue, and nothing was given up",
    )
    stage.run("fleet", "report", "--sandbox")
    page = stage.quietly("fleet", "report", "--sandbox", "--format", "html")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    check(
        f"{CELLS} of {CELLS} stacks are in sync" in page,
        f"the same as a page, for whoever answers for the fleet: {PAGE}",
    )


def _until(holds: Any, claim: str = "") -> None:
    deadline = time.monotonic() + 900
    while not holds():
        if time.monotonic() > deadline:
            raise Untrue(claim or "the workers begin")
        time.sleep(0.2)
    if claim:
        check(True, claim)


if __name__ == "__main__":
    sys.exit(perform(story))
