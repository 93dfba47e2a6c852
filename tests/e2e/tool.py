"""What the end-to-end tests share: the command line as a process, and AWS as its user sees it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from alb_reconcile.sandbox.client import read_state
from tests.forked import Forked, run_forked, run_started
from tests.processes import GUARD, default_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = str(Path(sys.executable).parent / "alb-reconcile")
SPECS = Path(__file__).parent.parent.parent / "specs"
REGION = "us-east-1"
DEMO = "demo.yaml"
Ended = subprocess.CompletedProcess[str]


def empty(state: Path) -> None:
    """What `sandbox reset` does, without a process of its own."""
    running = read_state(state / "sandbox.json")
    assert running is not None
    assert running.ask(empty=True, timeout=GUARD) == "ours"


class Tool:
    """The command line, in a folder with the specs and an environment without anything of AWS's."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.folder = folder
        self.options = options
        home = folder / "home"
        if not home.exists():
            home.mkdir(parents=True)
            shutil.copytree(SPECS, folder, dirs_exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONUTF8": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "ALB_RECONCILE_SANDBOX_DIR": str(folder / "state"),
            "ALB_RECONCILE_SANDBOX_TRAFFIC": "off",  # it is the point of test_traffic.py only
            **environment,
        }

    def arguments(self, *arguments: str) -> list[str]:
        return [COMMAND, *arguments, *(self.options if arguments[0] != "sandbox" else ())]

    def run(self, *arguments: str, expect: int = 0, timeout: float = GUARD, **environment: str) -> Ended:
        """Run a command to its end, without a terminal."""
        program, *rest = self.arguments(*arguments)
        run = run_forked if program == COMMAND else partial(run_started, program)
        ended = run(rest, folder=self.folder, environment=self.environment | environment, timeout=timeout)
        assert ended.returncode == expect, f"{ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        assert "Traceback" not in ended.stderr
        return ended

    @contextmanager
    def started(self, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """A command under way; killed if it hasn't ended by then."""
        settings: dict[str, Any] = {
            "cwd": self.folder, "env": self.environment, "encoding": "utf-8", "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT,
        }  # fmt: skip
        with default_signals():
            process = subprocess.Popen(self.arguments(*arguments), **(settings | options))
        with process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    process.kill()

    @contextmanager
    def forked(self, *arguments: str) -> Iterator[Forked | subprocess.Popen[str]]:
        """The same, forked, where nothing hangs on how it begins."""
        program, *rest = self.arguments(*arguments)
        if program != COMMAND:
            with self.started(*arguments) as started:
                yield started
            return
        process = Forked(rest, folder=self.folder, environment=self.environment)
        try:
            yield process
        finally:
            process.close()

    def state(self) -> dict[str, Any]:
        """The sandbox's state file."""
        found: dict[str, Any] = json.loads(
            (Path(self.environment["ALB_RECONCILE_SANDBOX_DIR"]) / "sandbox.json").read_text()
        )
        return found

    def plan(self, spec: str = DEMO, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("plan", "--format", "json", spec, *arguments).stdout)
        return found


@cache
def client(service: str, port: int, region: str = REGION) -> Any:
    """boto3 on an endpoint; made once, since reading AWS's models takes its time."""
    session = boto3.Session("testing", "testing", region_name=region)
    return session.client(service, endpoint_url=f"http://127.0.0.1:{port}")


class Account:
    """What its owner sees of it."""

    def __init__(self, port: int, region: str = REGION) -> None:
        self.ec2, self.elb = client("ec2", port, region), client("elbv2", port, region)

    def census(self) -> dict[str, int]:
        """How many there are of everything that a run may leave behind, whosever they are."""
        ec2, elb = self.ec2, self.elb
        instances = [item for each in ec2.describe_instances()["Reservations"] for item in each["Instances"]]
        balancers = elb.describe_load_balancers()["LoadBalancers"]
        groups = elb.describe_target_groups()["TargetGroups"]
        return {
            "vpcs": len(ec2.describe_vpcs()["Vpcs"]),
            "subnets": len(ec2.describe_subnets()["Subnets"]),
            "gateways": len(ec2.describe_internet_gateways()["InternetGateways"]),
            "route tables": len(ec2.describe_route_tables()["RouteTables"]),
            "security groups": len(ec2.describe_security_groups()["SecurityGroups"]),
            "instances": sum(item["State"]["Name"] in ("pending", "running") for item in instances),
            "load balancers": len(balancers),
            "target groups": len(groups),
            "listeners": sum(
                len(elb.describe_listeners(LoadBalancerArn=item["LoadBalancerArn"])["Listeners"]) for item in balancers
            ),
            "targets": sum(
                len(elb.describe_target_health(TargetGroupArn=item["TargetGroupArn"])["TargetHealthDescriptions"])
                for item in groups
            ),
        }
