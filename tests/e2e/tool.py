"""What the end-to-end tests share: the command line as a process, and AWS as its user sees it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND = str(Path(sys.executable).parent / "alb-reconcile")
SPECS = Path(__file__).parent.parent.parent / "specs"
REGION = "us-east-1"
DEMO = "demo.yaml"
Ended = subprocess.CompletedProcess[str]


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

    def run(self, *arguments: str, expect: int = 0, **environment: str) -> Ended:
        """Run a command to its end, without a terminal."""
        ended = subprocess.run(
            self.arguments(*arguments),
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        assert ended.returncode == expect, f"{ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        assert "Traceback" not in ended.stderr
        return ended

    @contextmanager
    def started(self, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """A command under way; killed if it hasn't ended by then."""
        settings = {
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "encoding": "utf-8",
        }
        with subprocess.Popen(self.arguments(*arguments), **(settings | options)) as process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    process.kill()

    def state(self) -> dict[str, Any]:
        """The sandbox's state file."""
        found: dict[str, Any] = json.loads(
            (Path(self.environment["ALB_RECONCILE_SANDBOX_DIR"]) / "sandbox.json").read_text()
        )
        return found

    def plan(self, spec: str = DEMO, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("plan", "--format", "json", spec, *arguments).stdout)
        return found


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.02)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Output up to a line that holds the text."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} never came:\n{seen}")


class Account:
    """boto3 on an endpoint."""

    def __init__(self, port: int, region: str = REGION) -> None:
        session = boto3.Session("testing", "testing", region_name=region)
        self.ec2 = session.client("ec2", endpoint_url=f"http://127.0.0.1:{port}")
        self.elb = session.client("elbv2", endpoint_url=f"http://127.0.0.1:{port}")

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
                len(elb.describe_listeners(LoadBalancerArn=item["LoadBalancerArn"])["Listeners"])
                for item in balancers
            ),
            "targets": sum(
                len(
                    elb.describe_target_health(TargetGroupArn=item["TargetGroupArn"])[
                        "TargetHealthDescriptions"
                    ]
                )
                for item in groups
            ),
        }
