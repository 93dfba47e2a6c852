"""Instances in the sandbox that run an application for real: artifact, secrets, logs, console, and what they may do."""

from __future__ import annotations

import io
import json
import re
import tarfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from alb_reconcile.kinds.instance.application.user_data import Application
from tests.e2e.test_traffic import IMAGE, Place
from tests.e2e.tool import REGION, client
from tests.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = """\
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        told = {name.lower(): os.environ[name] for name in ("GREETING", "KEY", "PASSWORD", "PORT", "HOME")}
        body = json.dumps({"version": open("VERSION").read(), **told}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        print("answered", self.path, flush=True)
    def log_message(self, *args):
        pass

print("listens", flush=True)
HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
PLACE = "s3://our-artifacts/shop/web.tar.gz"
LOGS = "/shop/web"
APP: dict[str, Any] = {
    "bucket": "our-artifacts", "key": "shop/web.tar.gz", "prefix": "shop/*", "command": "exec python3 server.py",
    "port": 8080, "region": REGION,
    "domain": "amazonaws.com", "environment": {"GREETING": "good day"}, "log_group": LOGS, "packages": ["no-such-package"],
    "secrets": {"KEY": "ssm:/shop/key", "PASSWORD": "secretsmanager:shop/database#password"},
    "setup": ["echo prepares", "test ! -e VERSION.prepared && touch VERSION.prepared"],
}  # fmt: skip
ARN = f"arn:aws:{{}}:{REGION}:123456789012:"
STATEMENTS: list[dict[str, Any]] = [
    {"Effect": "Allow", "Action": "s3:GetObjectVersion", "Resource": "arn:aws:s3:::our-artifacts/shop/web.tar.gz"},
    {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": ARN.format("ssm") + "parameter/shop/key"},
    {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": ARN.format("secretsmanager") + "secret:shop/database-??????",
    },
    {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": ARN.format("logs") + f"log-group:{LOGS}:*",
    },
]


class Shop(Place):
    """A sandbox with two versions of an artifact, their secrets and a log group."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tool.run("sandbox", "start", "--speed", "60")
        self.versions = [self.put(number) for number in ("1", "2")]
        self.of("ssm").put_parameter(Name="/shop/key", Value="k-1", Type="SecureString")
        self.of("secretsmanager").create_secret(Name="shop/database", SecretString='{"password": "p-1"}')
        self.of("logs").create_log_group(logGroupName=LOGS)

    def of(self, service: str) -> Any:
        return client(service, self.tool.state()["port"])

    def put(self, number: str) -> str:
        """Put an artifact by the command. Returns its version."""
        with tarfile.open(self.tool.folder / "web.tar.gz", "w:gz") as archive:
            for name, text in (("server.py", SERVER), ("VERSION", number)):
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        told = self.tool.run("sandbox", "put", "web.tar.gz", PLACE).stdout
        found = re.fullmatch(rf"{PLACE} is in the sandbox, version (\S+)\n", told)
        assert found, told
        return found[1]

    def profile(self, name: str, *statements: dict[str, Any]) -> str:
        iam = self.of("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        if statements:
            self.let(name, *statements)
        return name

    def let(self, role: str, *statements: dict[str, Any]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.of("iam").put_role_policy(RoleName=role, PolicyName="web", PolicyDocument=document)

    def launch(self, version: str, profile: str = "", **changes: Any) -> str:
        data = Application(**{**APP, **changes}).user_data({"artifact": version}).decode()
        own = {"IamInstanceProfile": {"Name": profile}} if profile else {}
        made = self.account.ec2.run_instances(
            ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=data, **own
        )
        return str(made["Instances"][0]["InstanceId"])

    def console(self, instance: str) -> str:
        return str(self.account.ec2.get_console_output(InstanceId=instance)["Output"])

    def ask(self, instance: str) -> dict[str, str]:
        """What an instance answers, as soon as it does."""
        found: list[dict[str, str]] = []

        def answers() -> object:
            with suppress(httpx.TransportError):
                found.append(self.http.get(f"http://127.0.0.1:{self.processes()[instance]['local_port']}/").json())
            return found

        until(answers)
        return found[0]

    def home(self, instance: str) -> Path:
        return Path(self.tool.environment["ALB_RECONCILE_SANDBOX_DIR"]) / "instances" / instance

    def events(self, instance: str) -> list[str]:
        """What the log group has of an instance."""
        logs = self.of("logs")
        if instance not in [
            item["logStreamName"] for item in logs.describe_log_streams(logGroupName=LOGS)["logStreams"]
        ]:
            return []
        found = logs.get_log_events(logGroupName=LOGS, logStreamName=instance, startFromHead=True)["events"]
        return [event["message"] for event in found]

    def has_events(self, instance: str, events: list[str]) -> bool:
        return self.events(instance) == events


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    place = Shop(tmp_path_factory.mktemp("shop"))
    yield place
    place.tool.run("sandbox", "stop")
    place.http.close()
    assert not [*(place.home("x").parent).glob("i-*/")]


def test_two_versions_run_side_by_side_with_their_secrets(shop: Shop) -> None:
    profile = shop.profile("web", *STATEMENTS)
    machines = [shop.launch(version, profile) for version in shop.versions]
    answers = [shop.ask(machine) for machine in machines]
    assert [item["version"] for item in answers] == ["1", "2"]
    for machine, told in zip(machines, answers, strict=True):
        process = shop.processes()[machine]
        assert (told["greeting"], told["key"], told["password"]) == ("good day", "k-1", "p-1")
        assert (told["port"], process["ports"]) == (str(process["local_port"]), [8080])
        assert told["home"] == f"{shop.home(machine)}/opt/application"
        assert shop.home(machine).stat().st_mode & 0o777 == 0o700
        until(partial(shop.has_events, machine, ["listens", "answered /"]))
        log = shop.home(machine).with_suffix(".log").read_text()
        assert shop.console(machine) == log
        assert log.splitlines()[-2:] == ["listens", "answered /"]
        assert "prepares" in log.splitlines()
    shown = shop.tool.run("sandbox", "status").stdout
    assert re.search(rf"^  {machines[0]}  runs     port \d+ for 8080  process \d+$", shown, re.MULTILINE), shown
    shop.account.ec2.reboot_instances(InstanceIds=machines[:1])
    until(lambda: "prepares" not in shop.console(machines[0]))  # it is installed once
    assert shop.ask(machines[0])["version"] == "1"
    shop.account.ec2.terminate_instances(InstanceIds=machines)
    until(lambda: not any(shop.home(machine).exists() for machine in machines))


def test_a_setup_that_fails_is_told_and_isnt_repeated(shop: Shop) -> None:
    machine = shop.launch(shop.versions[0], shop.profile("broken", *STATEMENTS), setup=["echo no compiler >&2; exit 3"])
    until(lambda: shop.processes()[machine]["state"] == "failed")
    lines = shop.console(machine).splitlines()
    assert lines[-3:] == [
        "setup: echo no compiler >&2; exit 3",
        "no compiler",
        "setup failed with exit code 3: echo no compiler >&2; exit 3",
    ]
    told = rf"^  {machine}  failed   .* no process  not installed: exit code 1: setup failed with exit code 3: .*\.log$"
    assert re.search(told, shop.tool.run("sandbox", "status").stdout, re.MULTILINE)
    shop.account.ec2.reboot_instances(InstanceIds=[machine])
    shop.account.ec2.describe_instances()
    assert shop.processes()[machine]["state"] == "failed"
    assert shop.events(machine) == []


def test_without_a_permission_it_says_so_and_waits_for_it(shop: Shop) -> None:
    profile = shop.profile("bare")
    machine, lonely = shop.launch(shop.versions[0], profile), shop.launch(shop.versions[0])
    refusal = (
        rf"(?s){PLACE}: HTTP Error 403: .*<Code>AccessDenied</Code>.*assumed-role/bare/{machine} is not authorized"
    )
    until(lambda: re.search(refusal, shop.console(machine)))
    assert shop.processes()[machine]["state"] == "sets up"
    assert re.search(
        rf"^  {machine}  sets up .*<Code>AccessDenied</Code>", shop.tool.run("sandbox", "status").stdout, re.MULTILINE
    )
    until(lambda: f"{PLACE}: the metadata service has no role for this instance" in shop.console(lonely))
    shop.let(profile, *STATEMENTS[:1], *STATEMENTS[2:3])
    denied = "secret KEY, ssm:/shop/key: HTTP Error 400: .*AccessDeniedException.*ssm:GetParameter"
    until(lambda: re.search(denied, shop.console(machine)))
    agent = "CloudWatch agent: AccessDeniedException: .*logs:CreateLogStream"
    until(lambda: re.search(agent, shop.console(machine)))
    shop.let(profile, *STATEMENTS)
    assert shop.ask(machine)["key"] == "k-1"
    until(lambda: {"listens", "answered /"} <= set(shop.events(machine)))
    assert len(re.findall(agent, shop.console(machine))) == 1
    assert not [line for line in shop.events(machine) if line.startswith("CloudWatch")]


def test_the_demos_instances_have_a_console_too(shop: Shop) -> None:
    made = shop.account.ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    machine = made["Instances"][0]["InstanceId"]
    until(lambda: shop.console(machine))


def test_a_file_goes_into_a_bucket_without_versions_as_it_is(shop: Shop) -> None:
    shop.of("s3").create_bucket(Bucket="plain")
    told = shop.tool.run("sandbox", "put", "demo.yaml", "s3://plain/a b/ü.yaml").stdout
    assert told == "s3://plain/a b/ü.yaml is in the sandbox, in a bucket without versions\n"
    got = shop.of("s3").get_object(Bucket="plain", Key="a b/ü.yaml")["Body"].read()
    assert got == (shop.tool.folder / "demo.yaml").read_bytes()
