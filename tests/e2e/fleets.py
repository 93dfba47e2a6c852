"""A fleet on a queue of the sandbox's: its accounts, their drift, workers behind proxies, and what they did at which moment."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from redis import Redis

from alb_reconcile.fleet.cells import Cell
from alb_reconcile.fleet.document import load_fleet
from alb_reconcile.locking.lease_record import LeaseRecord
from tests.e2e.proxy import in_front_of
from tests.e2e.tool import Tool, client
from tests.forked import begun
from tests.processes import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from tests.e2e.proxy import Proxy

BUCKET = "fleet-results"
_SIGNED = re.compile(r"Credential=([^/]+)/[0-9]+/([a-z0-9-]+)/(ec2|elasticloadbalancing)/")
"""The key of the account, the region and the service that a call is signed for."""
_PREFIX = "alb-reconcile:many:"
"""Of the fleet's keys in Redis."""
POISON = "999999999999"
"""An account without a role, so that its cell leads to another one, and always fails."""
_STACK = """\
stack: web
elastic_ips:
  kept: {}
vpcs:
  main: {cidr_block: 10.0.0.0/16}
target_groups:
  web: {vpc: main, port: 80, protocol: HTTP}
"""
_ASSUMED = re.compile(rb"<AccessKeyId>([^<]+)</AccessKeyId>")
_ROLE = re.compile(rb"arn:aws:sts::([0-9]+):assumed-role")


@dataclass
class OnQueue:
    """The fleet of a test."""

    tool: Tool
    accounts: Sequence[str]
    regions: Sequence[str]
    url: str
    _session: boto3.Session = field(default_factory=boto3.Session)
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.tool.state()["port"])

    def cells(self) -> list[Cell]:
        """Those that aren't poisoned."""
        found = load_fleet(str(self.tool.folder / "fleet.yaml"), {})
        return [cell for cell in found.cells if cell.account != POISON]

    def owner(self, account: str, service: str, region: str) -> Any:
        """boto3 as an account's owner has it."""
        key = account, region, service
        if key not in self._clients:
            arn = f"arn:aws:iam::{account}:role/reconciler"
            given = client("sts", self.port).assume_role(RoleArn=arn, RoleSessionName="owner")["Credentials"]
            self._clients[key] = self._session.client(
                service, region, endpoint_url=f"http://127.0.0.1:{self.port}", aws_access_key_id=given["AccessKeyId"],
                aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
            )  # fmt: skip
        return self._clients[key]

    def apply(self, *options: str, timeout: float = GUARD) -> None:
        """All cells but the poisoned one, and as often as accounts need."""
        chosen = [text for account in self.accounts for text in ("--account", account)]
        self.tool.run("fleet", "apply", "fleet.yaml", "--yes", *chosen, *options, timeout=timeout)

    def drift(self) -> None:
        """Somebody deletes two of each stack's resources."""
        for cell in self.cells():
            elb = self.owner(cell.account, "elbv2", cell.region)
            for group in elb.describe_target_groups()["TargetGroups"]:
                elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
            ec2 = self.owner(cell.account, "ec2", cell.region)
            for vpc in ec2.describe_vpcs()["Vpcs"]:
                if not vpc["IsDefault"]:
                    ec2.delete_vpc(VpcId=vpc["VpcId"])

    def groups(self, cell: Cell) -> int:
        """How many target groups a cell has; a stack that is as it should be has one."""
        return len(self.owner(cell.account, "elbv2", cell.region).describe_target_groups()["TargetGroups"])

    def hold(self, cell: Cell) -> None:
        """Another host has a cell, and lives."""
        record = LeaseRecord("0" * 32, "elsewhere", "ops", 1, "fleet sync", "2026-11-26T00:00:00Z", 600.0, 1)
        s3 = client("s3", self.port)
        s3.put_object(Bucket=BUCKET, Key=lease_key(cell), Body=record.to_bytes())

    def leases(self) -> dict[str, LeaseRecord]:
        """What the leases of cells say, by their keys."""
        s3 = client("s3", self.port)
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"] if "/leases/" in item["Key"]]
        return {key: LeaseRecord.parse(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys}

    def depth(self) -> tuple[int, int, int]:
        """How many messages wait, how many workers have, and how many were given up."""
        if self.url.startswith("redis:"):
            with Redis.from_url(self.url.partition("?")[0]) as asked:
                names = f"{_PREFIX}cells", f"{_PREFIX}dead-cells"
                waiting, dead = (int(asked.llen(name)) for name in names)
                return waiting, int(asked.zcard(f"{_PREFIX}unacked_index")), dead
        sqs = client("sqs", self.port)

        def counted(url: str) -> list[int]:
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            return [int(found[f"ApproximateNumberOfMessages{which}"]) for which in ("", "NotVisible")]

        waiting, taken = counted(self.url)
        return waiting, taken, sum(counted(f"{self.url}-dead"))

    def wait_until_empty(self) -> None:
        """The cell that always fails was given up, no more messages wait, and no worker has one.

        Without the first, a queue would seem to be empty while a message is taken: between the two numbers of a look, or between
        kombu's two commands by which it takes one.
        """
        seen, changed = self.depth(), time.monotonic()
        while (found := self.depth()) != (0, 0, 1):
            if found != seen:
                seen, changed = found, time.monotonic()
            assert time.monotonic() < changed + GUARD, f"nothing happens any more, with {found} in the queue"
            time.sleep(0.5)

    @contextmanager
    def worker(self, place: Path) -> Iterator[WorkerProcess]:
        """One on a host of its own, behind a proxy. It ends at the end of the block at the latest."""
        with in_front_of(self.tool, place) as (proxy, host):
            arguments = host.arguments("fleet", "worker", str(self.tool.folder / "fleet.yaml"), "--queue", self.url)
            environment = {**host.environment, "ALB_RECONCILE_LOCK_DIR": str(place / "locks")}
            said = place / "said"
            said.touch()
            with begun(arguments[1:], folder=host.folder, environment=environment, said=said) as process:
                yield WorkerProcess(process, proxy, said)


class WorkerProcess(NamedTuple):
    process: BaseProcess
    proxy: Proxy
    said: Path

    def stop(self) -> None:
        """SIGTERM."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGTERM)

    def told(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of that name."""
        whole = [
            line for line in self.said.read_text().splitlines(keepends=True) if line[:1] == "{" and line[-1] == "\n"
        ]
        return [line for line in map(json.loads, whole) if line["event"] == event]


def lease_key(cell: Cell) -> str:
    """Where a cell's lease is."""
    return f"fleet/many/leases/123456789012-{cell.region}-fleet-many-{cell.account}.json"


def make_fleet(tool: Tool, accounts: Sequence[str], regions: Sequence[str], url: str) -> OnQueue:
    """A fleet with a poisoned cell, and its bucket. Nothing is applied yet."""
    client("s3", tool.state()["port"]).create_bucket(Bucket=BUCKET)
    (tool.folder / "web.yaml").write_text(_STACK)
    told = {
        "fleet": "many",
        "results": f"s3://{BUCKET}/fleet",
        "operation_preferences": {"failure_tolerance": "100%"},
        "defaults": {"regions": list(regions), "stacks": ["web.yaml"], "schedule": "1h"},
        "accounts": [
            *({"account_id": account, "role": "reconciler"} for account in accounts),
            {"account_id": POISON, "regions": [regions[0]]},
        ],
    }
    (tool.folder / "fleet.yaml").write_text(json.dumps(told))  # YAML, too
    return OnQueue(tool, accounts, regions, url)


def make_queue(tool: Tool, visibility: int, receives: int) -> str:
    """A queue of SQS with a dead-letter queue. Returns its URL."""
    sqs = client("sqs", tool.state()["port"])
    dead = sqs.create_queue(QueueName="cells-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(receives)})
    attributes = {"VisibilityTimeout": str(visibility), "RedrivePolicy": redrive}
    return str(sqs.create_queue(QueueName="cells", Attributes=attributes)["QueueUrl"])


def runs_of(proxies: Sequence[Proxy]) -> dict[tuple[str, str], list[int]]:
    """For each account and region, which proxies' workers changed something there, in the order of time, each run of calls once."""
    accounts: dict[str, str] = {}
    for proxy in proxies:
        for change in proxy.log:
            if change.operation == "AssumeRole" and (key := _ASSUMED.search(change.content)):
                role = _ROLE.search(change.content)
                assert role is not None
                accounts[key[1].decode()] = role[1].decode()
    calls = sorted(
        (change.moment, number, change.authorization) for number, proxy in enumerate(proxies) for change in proxy.log
    )
    found: dict[tuple[str, str], list[int]] = {}
    for _, number, authorization in calls:
        if (signed := _SIGNED.search(authorization)) and signed[1] in accounts:
            order = found.setdefault((accounts[signed[1]], signed[2]), [])
            if order[-1:] != [number]:
                order.append(number)
    return found
