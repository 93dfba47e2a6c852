"""Every command, with secrets in all places that take one: none of them gets into what is shown, kept or sent."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.sts.models import sts_backends

from alb_reconcile.cli.main import main
from alb_reconcile.sandbox.roles import make_roles
from tests.canaries.canaries import Child, canary, leaks, leaks_in_files, parts_of_key, plain_canary, recorded_children
from tests.harness import REGION, World, by_hand, world
from tests.journal.github import TOKEN, FakeGitHub, fake_github
from tests.journal.receiver import Receiver, receiving
from tests.kinds.hand import Faults
from tests.kinds.test_authentication import behind, oidc
from tests.kinds.test_listener import answer
from tests.sandbox.authorities import server_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

ENVIRONMENT = {
    "AWS_SECRET_ACCESS_KEY": canary("access key"),
    "AWS_SESSION_TOKEN": plain_canary("session"),
    "OIDC_SECRET": canary("oidc in the environment"),
    "ALB_RECONCILE_WEBHOOK_SECRET": canary("webhook secret"),
    "GITHUB_TOKEN": TOKEN,
}
SECRETS = {
    **ENVIRONMENT,
    "user data": canary("user data"),
    "user data file": canary("user data file"),
    "oidc file": canary("oidc file"),
    "ssm": canary("ssm"),
    "secrets manager": canary("secrets manager"),
    "webhook URL": plain_canary("hook"),
    "OTLP header": plain_canary("otlp"),
    "certificate's key": canary("key"),
    "external id": plain_canary("external"),
    "queue": plain_canary("queue"),
    "git": plain_canary("git"),
}
"""By where it is."""
CERTIFICATE, KEY = server_certificate("shop.example.org", rsa=True)
SOUGHT = {**SECRETS, **parts_of_key(KEY)}
FLEET = f"""\
fleet: shops
defaults: {{role: reconciler, external_id: {SECRETS["external id"]}, regions: [{REGION}], stacks: [small.yaml], schedule: 1h}}
accounts: [{{account_id: "111111111111", name: first}}, {{account_id: "222222222222"}}]
"""
FROM_GIT = f"""\
fleet: specs
defaults: {{regions: [{REGION}], stacks: ["git": "https://bot:{SECRETS["git"]}@127.0.0.1:1/specs.git"]}}
accounts: [{{account_id: "123456789012"}}]
"""
SMALL = "stack: small\nvpcs: {main: {cidr_block: 10.9.0.0/16, enable_dns_hostnames: true}}\nsync: {report: [update]}\n"


def spec() -> dict[str, Any]:
    """The demo behind a login, with a secret from each place that may have one."""
    found = behind(oidc(env="OIDC_SECRET"))
    for group in found["security_groups"].values():  # the others are the tests' own, and too many ports
        del group["ingress"][1:]
    found["security_groups"]["load-balancer"]["ingress"][0]["port"] = 443
    listener = found["load_balancers"]["public"]["listeners"]["https"]
    for number, secret in enumerate(
        ({"file": "oidc"}, {"ssm": "/oidc"}, {"secretsmanager": "oidc", "json_key": "secret"}), 1
    ):
        action = {**oidc(**secret), **answer(404)}
        conditions = [{"path_pattern": f"/{number}"}]
        listener["rules"][f"r{number}"] = {"priority": 10 + number, "conditions": conditions, "action": action}
    found["instances"]["web"]["user_data"] = f"#!/bin/sh\nexport PASSWORD='{SECRETS['user data']}'\n"
    other = {key: value for key, value in found["instances"]["web"].items() if key not in ("user_data", "count")}
    found["instances"]["other"] = {**other, "user_data_file": "start.sh"}
    found["certificates"] = {"own": {"certificate": {"file": "own.pem"}, "private_key": {"file": "own.key"}}}
    listener["certificates"] = ["own"]
    found["lease"] = "s3://leases/prod"
    return found


FILES = {
    "stack.yaml": yaml.safe_dump(spec(), sort_keys=False, allow_unicode=True),
    "start.sh": f"#!/bin/sh\nexport PASSWORD='{SECRETS['user data file']}'\n",
    "oidc": SECRETS["oidc file"],
    "own.pem": CERTIFICATE,
    "own.key": KEY,
    "small.yaml": SMALL,
    "fleet.yaml": FLEET,
    "from-git.yaml": FROM_GIT,
}


class Office:
    """A folder from which the commands are run, and all that they leave behind."""

    def __init__(
        self, folder: Path, account: World, hook: Receiver, github: FakeGitHub, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.account, self.hook, self.github, self.capsys = folder, account, hook, github, capsys
        self.said: dict[str, str] = {}
        self.inputs: set[Path] = set()
        self.children = recorded_children()

    def write(self, name: str, text: str) -> None:
        """A file of the user's."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        self.inputs.add(path)

    def run(self, line: str, code: int) -> None:
        """Run a command, and keep what it says."""
        ended = main(line.replace("RECORD", RECORD).replace("VPC", self._vpc()).split())
        told = self.capsys.readouterr()
        self.said[line] = told.out + told.err
        assert ended == code, f"{line}: {ended}\n{told.out}\n{told.err}"

    def leaks(self, secrets: Mapping[str, str]) -> dict[str, set[str]]:
        """Where which secrets are that shouldn't be there. `export -o` keeps user data: that is its purpose."""
        texts: dict[str, str | bytes] = {
            **self.said,
            **self._in_aws(),
            **{f"process {number}": child.arguments for number, child in enumerate(self.children, 1)},
            "issues": "\n".join(_texts([self.github.issues, self.github.comments])),
        }
        texts |= {f"request {number}": body for number, (*_, body) in enumerate(self.hook.requests, 1)}
        found = {place: leaks(secrets, text) for place, text in texts.items()}
        found |= leaks_in_files(secrets, self.folder, {*self.inputs, *self.folder.glob("user-data/*")})
        return {place: names for place, names in found.items() if names}

    def _vpc(self) -> str:
        vpcs = [str(item["VpcId"]) for item in by_hand("ec2").describe_vpcs()["Vpcs"] if not item["IsDefault"]]
        return vpcs[0] if vpcs else ""

    def _in_aws(self) -> dict[str, str]:
        """What others who may read the account see: tags and objects."""
        ec2, elb = ec2_backends[DEFAULT_ACCOUNT_ID][REGION], elbv2_backends[DEFAULT_ACCOUNT_ID][REGION]
        s3 = by_hand("s3")
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="leases").get("Contents", ())]
        objects = [s3.get_object(Bucket="leases", Key=key)["Body"].read().decode() for key in keys]
        return {
            "tags": "\n".join(_texts([ec2.tags, elb.tagging_service.tags])),
            "objects": "\n".join([*keys, *objects]),
        }


def _texts(value: Any) -> Iterator[str]:
    """All texts in something."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Office]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with world() as account, receiving(status=200) as hook, fake_github() as github:
        environment = {
            **ENVIRONMENT,
            **github.environ,
            "AWS_ACCESS_KEY_ID": "testing",
            "ALB_RECONCILE_STATE_DIR": str(tmp_path / "state"),
            "ALB_RECONCILE_LOCK_DIR": str(tmp_path / "locks"),
            "ALB_RECONCILE_WEBHOOK_ALLOW": "private,http",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{hook.port}",
            "ALB_RECONCILE_FLEET_QUEUE": f"redis://:{SECRETS['queue']}@127.0.0.1:1/0",
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRETS['OTLP header']}",
        }
        found = Office(tmp_path, account, hook, github, capsys)
        path = f"services/{SECRETS['webhook URL']}?token={SECRETS['webhook URL']}"
        found.write("hook", f"http://127.0.0.1:{hook.port}/{path}")
        for name, text in FILES.items():
            found.write(name, text)
        by_hand("ssm").put_parameter(Name="/oidc", Value=SECRETS["ssm"], Type="SecureString")
        by_hand("secretsmanager").create_secret(
            Name="oidc", SecretString=json.dumps({"secret": SECRETS["secrets manager"]})
        )
        by_hand("s3").create_bucket(Bucket="leases")
        by_hand("iam").upload_server_certificate(
            ServerCertificateName="one", CertificateBody="x", PrivateKey=SECRETS["certificate's key"]
        )
        make_roles([{"arn": f"arn:aws:iam::{'1' * 12}:role/reconciler", "external_id": SECRETS["external id"]}])
        account._call(
            "sts", "get_caller_identity", {}
        )  # what is made at first, once a process, sets credentials of its own
        by_hand("ec2"), by_hand("elbv2")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        _in_virtual_time(account, monkeypatch)
        _make_repository(tmp_path)
        found.children.clear()
        yield found


def _make_repository(folder: Path) -> None:
    """The folder becomes a Git repository with one commit: what a run records of it, it asks git for."""
    author = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
    for arguments in (["init", "--quiet"], [*author, "commit", "--quiet", "--allow-empty", "--message", "specs"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


def _in_virtual_time(account: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that wait for AWS do so on its clock, and no thread waits where that can't be seen. Providers of logins don't answer."""

    async def to_thread(function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        return function(*args, **named)

    def ask(*_: object, **__: object) -> str:
        return "doesn't answer"

    def with_stack(_options: object, target: object, run: Callable[..., Any], *args: Any, **named: Any) -> Any:
        return account._run(lambda aws: run(aws, target, *args, **named))

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    account.outside = ask
    monkeypatch.setattr("alb_reconcile.aws.connection.ask", ask)
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _: None)
    monkeypatch.setattr("alb_reconcile.cli.commands.reconcile.with_stack", with_stack)


LIFE = (
    ("validate stack.yaml -v", 0),
    ("validate --security --format json stack.yaml", 0),
    ("fmt --check stack.yaml", 2),
    ("iam-policy --for apply stack.yaml", 0),
    ("diff --format json small.yaml stack.yaml", 0),
    ("plan stack.yaml -vv --out plan.json", 0),
    ("plan --format json stack.yaml", 0),
    ("plan --format markdown stack.yaml", 0),
    ("plan --format html stack.yaml", 0),
    ("graph stack.yaml", 0),
    ("apply --yes stack.yaml -v RECORD", 1),
    ("plan stack.yaml --out rest.json", 0),
    ("apply --yes --plan plan.json stack.yaml RECORD", 4),
    ("apply --yes --plan rest.json --format json stack.yaml RECORD", 0),
    ("status stack.yaml -vv", 0),
    ("status --format json stack.yaml", 0),
    ("report . -v", 1),
    ("stacks --region us-east-1", 0),
    ("lock show --format json stack.yaml", 0),
    ("history stack.yaml", 0),
    ("history --format json stack.yaml", 0),
    ("sync stack.yaml -v RECORD", 0),
    ("verify --requests 1 --timeout 1s --connect-to 443=127.0.0.1:1 stack.yaml", 1),
    ("move stack.yaml instance.other instance.another", 64),
    ("forget --yes stack.yaml", 0),
    ("export --vpc VPC", 0),
    ("export --vpc VPC -o exported.yaml", 0),
    ("adopt --yes --format json --keep-secrets stack.yaml", 0),
    ("lock break --yes stack.yaml", 0),
    ("destroy --yes stack.yaml RECORD", 0),
    ("sync small.yaml --issue github:acme/ops RECORD", 2),
    ("fleet validate", 0),
    ("fleet plan", 1),
    ("fleet plan from-git.yaml", 1),
    ("fleet apply --yes -v RECORD", 1),
    ("fleet resume --yes -v RECORD", 1),
    ("fleet sync -v RECORD", 1),
    ("fleet status --format json", 1),
    ("fleet report --format html", 1),
    ("fleet enqueue", 1),
    ("fleet beat -v", 1),
    ("fleet worker -v RECORD", 1),
)
"""A day, with each command's exit code."""
RECORD = "--webhook-url-file hook --metrics-file x.prom --trace"


@pytest.mark.slow
def test_no_command_shows_keeps_or_sends_a_secret(office: Office) -> None:
    """AWS refuses the first login, and repeats the secret that it was sent."""
    echo = f"Value '{SECRETS['OIDC_SECRET']}' at 'clientSecret' failed to satisfy constraint"
    Faults(office.account).refuse("create_listener", "ValidationError", echo)
    for line, code in LIFE:
        office.run(line, code)
    assert "Value '***' at 'clientSecret'" in office.said["apply --yes stack.yaml -v RECORD"]
    assert "Authorization: Basic" not in repr(office.said)
    places = [path.partition("?")[0] for _, path, *_ in office.hook.requests]
    assert {"/v1/traces", f"/services/{SECRETS['webhook URL']}"} <= {*places}
    assert office.github.issues
    roles = sts_backends["1" * 12]["aws"].assumed_roles
    assert roles
    assumed = {f"role {number}": role.session_token for number, role in enumerate(roles)}
    assumed |= {f"key {number}": role.secret_access_key for number, role in enumerate(roles)}
    assert {"status", "fetch"} <= {word for child in office.children for word in child.command.split()}
    assert office.leaks(SOUGHT | assumed) == {}


def test_git_gets_none_of_the_programs_own_secrets(office: Office) -> None:
    """When it tells which commit a run's spec is of, filters that a repository names may run; they need none. When it fetches specs,
    its credential helpers may need those that aren't this program's."""
    office.run("apply --yes small.yaml", 0)
    (status,) = [child for child in office.children if "status" in child.command.split()]
    assert leaks(SOUGHT, status.environment) == set()
    office.run("fleet plan from-git.yaml", 1)
    (fetch,) = [child for child in office.children if "fetch" in child.command.split()]
    theirs = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OIDC_SECRET", "GITHUB_TOKEN", "git"}
    assert leaks(SOUGHT, fetch.environment) == theirs


def test_a_leak_would_be_found(office: Office) -> None:
    """Wherever it is."""
    vpc = by_hand("ec2").create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    (office.folder / "state").mkdir()
    (office.folder / "kept.pem").write_text(KEY)
    assert office.leaks(SOUGHT) == {"kept.pem": {*parts_of_key(KEY)}}
    (office.folder / "kept.pem").unlink()
    text = f"before {json.dumps(SECRETS['user data'])} after"
    office.said["plan"] = text
    office.children[:] = [Child(f"program\0--option={text}".encode(), b"")]
    (office.folder / "state" / "x").write_text(text, encoding="utf-8")
    office.github.add(text)
    office.hook.requests.append(("POST", "/hook", {}, text.encode()))
    by_hand("ec2").create_tags(Resources=[vpc], Tags=[{"Key": "x", "Value": text}])
    by_hand("s3").put_object(Bucket="leases", Key="x", Body=text.encode())
    places = ("plan", "tags", "objects", "issues", "request 1", "state/x", "process 1")
    assert office.leaks(SECRETS) == {place: {"user data"} for place in places}
