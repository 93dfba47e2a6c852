"""`make test-aws` in the sandbox, in its cheapest form, and `make test-aws-clean` after a kill; tests/load has the rest, for `make soak`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.exceptions import ClientError

from tests.account import answers, inventory, measurements
from tests.account.__main__ import main
from tests.account.inventory import Inventory
from tests.account.place import ACCOUNT, REGION, TAG, WAITING, Place
from tests.account.service import read_spec
from tests.forked import run_forked
from tests.processes import GUARD, default_signals, until

if TYPE_CHECKING:
    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Tool

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
NAMED = {ACCOUNT: "123456789012", REGION: "us-east-1"}


@pytest.fixture
def named(sandbox: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox is the account that is named."""
    for name, value in (NAMED | sandbox.environment).items():
        monkeypatch.setenv(name, value)


NETWORK = """stack: small
region: us-east-1
vpcs: {main: {cidr_block: 10.0.0.0/16}}
subnets: {one: {cidr_block: 10.0.0.0/24, availability_zone: a}}
"""


def quietly(arguments: list[str], folder: Path, given: Mapping[str, str]) -> tuple[int, str]:
    """The command line in a process that is forked."""
    ended = run_forked(arguments, folder=folder, environment=os.environ | given, timeout=GUARD)
    return ended.returncode, ended.stdout + (ended.stderr if ended.returncode else "")


@pytest.mark.usefixtures("named")
def test_a_stack_lives_and_leaves_nothing(
    account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.account.__main__.secrets.token_hex", lambda _: "4b22e3")  # in YAML 1.2 a number
    before = account.census()
    (tmp_path / "small.yaml").write_text(NETWORK)
    assert main(["try", "--sandbox", "--yes", str(tmp_path / "small.yaml")], quietly) == 0
    assert "all of it holds" in capsys.readouterr().out
    assert account.census() == before


@pytest.mark.usefixtures("named")
def test_what_is_left_isnt_hidden(account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A destroy that says it is done and isn't: the claim doesn't hold, and the clean-up doesn't need the program."""
    before = account.census()
    (tmp_path / "small.yaml").write_text(NETWORK)

    def forgetful(arguments: list[str], folder: Path, given: Mapping[str, str]) -> tuple[int, str]:
        return (0, "") if arguments[0] in ("destroy", "stacks") else quietly(arguments, folder, given)

    assert main(["try", "--sandbox", "--yes", str(tmp_path / "small.yaml")], forgetful) == 1
    said = capsys.readouterr()
    assert "    subnet subnet-" in said.err
    assert "removed: vpc vpc-" in said.out
    assert account.census() == before


def refuse(_own: Inventory, identifier: str) -> None:
    raise ClientError({"Error": {"Code": "DependencyViolation", "Message": f"{identifier} is in use"}}, "Delete")


@pytest.mark.usefixtures("named")
def test_what_cant_be_removed_is_no_success(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though every claim held."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tests.account.__main__.secrets.token_hex", lambda _: "4b22e3")
    monkeypatch.setattr(Inventory, "remove_all", partialmethod(Inventory.remove_all, patience=0.0))
    monkeypatch.setitem(inventory._REMOVE, "key_pair", refuse)
    (tmp_path / "small.yaml").write_text(NETWORK)
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": TAG, "Value": "4b22e3"}]}]
    account.ec2.create_key_pair(KeyName=f"{TAG}-4b22e3", TagSpecifications=tags)
    assert main(["try", "./small.yaml", "--sandbox", "--yes"], quietly) == 1
    said = capsys.readouterr()
    assert "✗ left behind: key_pair " in said.err
    assert "is in use\nTry again later: make test-aws-clean RUN=4b22e3\n" in said.err
    assert "all of it holds" in said.out


def test_the_clean_up_after_ctrl_c_waits_for_the_command(
    proxied: tuple[Proxy, Tool], account: Account, tmp_path: Path
) -> None:
    """What it has begun may appear after a clean-up that doesn't. Here a call under way is held. What isn't the run's stays."""
    proxy, tool = proxied
    stranger = account.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    account.ec2.create_tags(Resources=[stranger], Tags=[{"Key": f"{TAG}s", "Value": "near miss"}])
    before = account.census()
    (tmp_path / "small.yaml").write_text(NETWORK)
    gate = proxy.hold("CreateVpc")
    command = [sys.executable, "-m", "tests.account", "try", "--sandbox", "--yes", "./small.yaml"]
    file = tmp_path / "said"
    with file.open("w") as stream, default_signals():
        running = subprocess.Popen(
            command, cwd=tmp_path, env=tool.environment | NAMED | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def has_said(text: str) -> bool:
        return text in file.read_text() or running.poll() is not None

    with running:
        try:
            gate.wait()
            os.killpg(running.pid, signal.SIGINT)  # as Ctrl-C does, which all processes of a terminal get
            until(lambda: has_said(WAITING) and has_said("stopping: nothing new starts"))
            assert running.poll() is None, file.read_text()
            gate.open()
            running.wait(GUARD)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    told = file.read_text()
    assert running.returncode == 130, told
    assert told.index("Nothing is rolled back") < told.index("removed: vpc vpc-") < told.index("Interrupted. Remove")
    assert account.census() == before


def private_and_more() -> dict[str, Any]:
    """The private stack with an endpoint that is billed, a certificate, a profile, a bucket and the run's key pair."""
    spec = read_spec("private")
    spec["vpc_endpoints"]["ssm"] = {"service_name": "ssm", "subnets": ["private-a"], "security_groups": ["web"]}
    spec["instance_profiles"], spec["log_buckets"] = {"web": {"session_manager": True}}, {"logs": {}}
    spec["certificates"] = {"main": {"domain_name": "shop.example.com"}}
    spec["instances"]["web"]["key_name"] = "the run's"
    return spec


def billed(account: Account, place: Place) -> list[int]:
    """How many there are of what `Account.census` leaves out."""
    ec2 = account.ec2
    found = (
        [item for item in ec2.describe_nat_gateways()["NatGateways"] if item["State"] != "deleted"],
        [item for item in ec2.describe_vpc_endpoints()["VpcEndpoints"] if item["State"] != "deleted"],
        ec2.describe_addresses()["Addresses"],
        ec2.describe_key_pairs()["KeyPairs"],
        place.client("iam").list_roles()["Roles"],
        place.client("iam").list_instance_profiles()["InstanceProfiles"],
        place.client("s3").list_buckets()["Buckets"],
        place.client("acm").list_certificates()["CertificateSummaryList"],
        account.elb.describe_load_balancers()["LoadBalancers"],
    )
    return [len(items) for items in found]


@pytest.mark.usefixtures("named")
def test_what_a_killed_run_left_is_removed(
    account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "private.yaml").write_text(yaml.safe_dump(private_and_more()))
    place = Place.named(os.environ, sandbox=True)
    stranger = account.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    account.ec2.create_tags(Resources=[stranger], Tags=[{"Key": f"{TAG}s", "Value": "near miss"}])
    before, census = billed(account, place), account.census()

    def are_there() -> bool:
        return all(now > then for now, then in zip(billed(account, place), before, strict=True))

    command = [sys.executable, "-m", "tests.account", "try", "--sandbox", "--yes", "./private.yaml"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        until(lambda: running.poll() is not None or are_there())
        assert running.poll() is None, "it ended by itself"
        os.killpg(running.pid, signal.SIGKILL)
    assert main(["clean", "--sandbox", "--yes", "--run", "another"]) == 0
    assert are_there()
    assert main(["clean", "--sandbox", "--yes"]) == 0
    assert (billed(account, place), account.census()) == (before, census)
    capsys.readouterr()
    assert main(["clean", "--sandbox"]) == 0
    assert capsys.readouterr().out == f"Nothing in us-east-1 has the tag {TAG}.\n"


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (ACCOUNT, None, f"{ACCOUNT} must be set"),
        (REGION, None, f"{REGION} must be set"),
        (ACCOUNT, "210987654321", "the credentials are those of account 123456789012"),
        (REGION, "us-east-1", "Nothing was done.\n"),  # since "yes" isn't the account's id
        (REGION, "us-east-1", "2 × NAT gateway"),
    ],
)
def test_nothing_is_made_without_a_word(
    name: str, value: str | None, said: str, account: Account, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = account.census()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    assert main(["try", "--sandbox", "private"]) == 2
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert account.census() == before


NAME = "overlapping-range"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(answers, "FOLDER", tmp_path / "answers")
    return tmp_path / "answers" / f"{NAME}.json"


def test_an_account_answers_and_the_sandbox_is_held_to_it(
    kept: Path, sandbox: Tool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (sandbox.environment | NAMED).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tests.account.place.Place.real", lambda _self, seconds: seconds / 600)
    with monkeypatch.context() as on_aws:  # the sandbox is AWS, as far as the program can tell
        on_aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{sandbox.state()['port']}")
        on_aws.setenv("AWS_ACCESS_KEY_ID", "testing")
        on_aws.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        assert main(["measure", "--yes", NAME]) == 0
    told = json.loads(kept.read_text())
    assert told["region"] == "us-east-1"
    assert told["question"] == measurements.ALL[NAME].question
    assert told["answers"][""].startswith("refused: InvalidVpc.Range “")
    capsys.readouterr()
    assert main(["measure", "--sandbox", "--yes", NAME]) == 0
    kept.write_text(json.dumps(told | {"answers": {"": "refused: InvalidVpcRange"}}))
    assert main(["measure", "--sandbox", "--yes", NAME]) == 1
    said = capsys.readouterr()
    assert (
        f"✗ {NAME}: AWS, us-east-1, {told['measured']}: refused: InvalidVpcRange; here: refused: InvalidV" in said.err
    )
    assert main(["measure", "--sandbox", "--yes", "words-of-route53"]) == 0, "nothing is kept of that one"


@pytest.mark.usefixtures("named")
def test_the_sandbox_answers_as_aws_has() -> None:
    """Whatever is kept that needs no service; tests/load asks for the rest."""
    found = [file.stem for file in answers.FOLDER.glob("*.json")]
    assert set(found) <= set(measurements.ALL), "of a measurement that there isn't any more"
    alone = [name for name in found if not measurements.ALL[name].on_service]
    assert main(["measure", "--sandbox", "--yes", NAME, *alone]) == 0


def test_the_page_has_each_measurement() -> None:
    page = (ROOT / "docs" / "explanation" / "real-account.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{each.name}` | {each.question} |" for each in measurements.ALL.values()]
