"""An emulator without the strict rules, found by AWS_ENDPOINT_URL: the AWS of somebody else's tests."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml

from tests.at_length import only_at_length
from tests.e2e.tool import DEMO, REGION, Account, Tool, client
from tests.harness import demo
from tests.processes import rest_of
from tests.properties.others import make_others, seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Spec

STACKS = ("one", "two")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    command = [sys.executable, "-u", "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8") as server:
        assert server.stderr is not None
        for line in server.stderr:
            if "Running on http://" in line:
                break
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        yield int(line.rpartition(":")[2].split()[0])
        server.kill()
        drain.wait()


@pytest.fixture
def tool(port: int, tmp_path: Path) -> Tool:
    post(port, "reset")
    return Tool(
        tmp_path,
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
    )


def post(port: int, path: str, body: bytes = b"") -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/moto-api/{path}", data=body, headers={"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(request):
        pass


@pytest.mark.parametrize(("spec", "region"), [(DEMO, REGION), ("runbook.yaml", "us-west-2")])
@only_at_length("tests/properties/test_unmodified_moto.py::test_two_stacks_live_beside_others")
def test_a_stack_lives(tool: Tool, port: int, spec: str, region: str) -> None:
    account = Account(port, region)
    account.ec2.create_key_pair(KeyName="our-key")
    tool.environment["EC2_SSH_KEY_NAME"] = "our-key"
    before = account.census()
    tool.run("plan", "--detailed-exitcode", spec, expect=2)
    tool.run("apply", "--yes", spec)
    assert tool.plan(spec)["steps"] == []
    status = json.loads(tool.run("status", "--format", "json", spec).stdout)
    assert len([item for item in status["resources"] if item["address"].startswith("registration.")]) == 2
    tool.run("destroy", "--yes", spec)
    assert account.census() == before


@only_at_length("tests/properties/test_unmodified_moto.py::test_two_stacks_live_beside_others")
def test_two_stacks_live_at_the_same_time_beside_others(tool: Tool, port: int) -> None:
    """Created, changed, rolled and destroyed by two processes at once, without a trace in what is somebody else's."""

    def ours(service: str) -> Any:
        return client(service, port)

    make_others(ours)
    before = seen(ours)
    for change in ({}, {"tags": {"service": "changed"}}, {"user_data": "#!/bin/sh\nexec web-api --new\n"}):
        for stack in STACKS:
            write(tool, stack, change)
        at_once(tool, "apply")
        for stack in STACKS:
            assert tool.plan(f"{stack}.yaml")["steps"] == []
        assert len(seen(ours)) > len(before)
        assert before.items() <= seen(ours).items()
    at_once(tool, "destroy")
    assert seen(ours) == before


def write(tool: Tool, stack: str, change: Spec) -> None:
    """The demo under that name, its instances with other properties, and nothing that takes a roll long."""
    spec = {**demo(), "stack": stack}
    spec["instances"]["web"] |= {"rollout": {"max_surge": 1, "settle": "0s", "min_ready": "0s"}, **change}
    spec["target_groups"]["web"]["attributes"] = {"deregistration_delay.timeout_seconds": 0}
    (tool.folder / f"{stack}.yaml").write_text(yaml.safe_dump(spec))


def at_once(tool: Tool, command: str) -> None:
    with ExitStack() as running:
        started = [running.enter_context(tool.forked(command, "--yes", f"{stack}.yaml")) for stack in STACKS]
        for process in started:
            told = rest_of(process)
            assert process.returncode == 0, told


def test_who_may_do_nothing_is_told_in_one_line(tool: Tool, port: int) -> None:
    iam: Any = boto3.client(
        "iam",
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    post(port, "reset-auth", b"0")
    try:
        told = tool.run(
            "plan",
            DEMO,
            expect=1,
            AWS_ACCESS_KEY_ID=key["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"],
        ).stderr
    finally:
        post(port, "reset-auth", b"inf")
    assert told.count("\n") == 1, told
    assert "allow the IAM action" in told
