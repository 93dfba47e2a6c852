"""`make test-aws` in the sandbox, in its cheapest form, and `make test-aws-clean` after a kill; tests/load has the rest, for `make soak`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.exceptions import ClientError

from alb_reconcile.verification.client import Endpoint, Reply, Shot
from alb_reconcile.verification.load import Answer
from alb_reconcile.verification.matching import Request
from tests.account import inventory, measurements
from tests.account.__main__ import main
from tests.account.bench import Bench
from tests.account.costs import needed
from tests.account.inventory import Inventory
from tests.account.measurements.resources import until_shown
from tests.account.place import ACCOUNT, REGION, TAG, WAITING, Place, Untrue
from tests.account.place import Tool as AccountTool
from tests.account.service import judge, read_spec, until_it_answers
from tests.at_length import at_length, only_at_length
from tests.forked import run_forked
from tests.journal.receiver import receiving
from tests.processes import GUARD, default_signals, until

if TYPE_CHECKING:
    from tests.e2e.proxy import Proxy
    from tests.e2e.tool import Account, Tool

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
@pytest.mark.parametrize("run", ["74e358", *at_length("4b22e3")])  # YAML 1.2 has the latter for a number
def test_a_stack_lives_and_leaves_nothing(
    run: str, account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.account.__main__.secrets.token_hex", lambda _: run)
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
@pytest.mark.parametrize(
    ("arguments", "kind"), [(["try", "./small.yaml"], "key_pair"), (["measure", "overlapping-range"], "vpc")]
)
def test_what_cant_be_removed_is_no_success(
    arguments: list[str], kind: str, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Though every claim held, and every question was answered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tests.account.__main__.secrets.token_hex", lambda _: "4b22e3")
    monkeypatch.setattr(Inventory, "remove_all", partialmethod(Inventory.remove_all, patience=0.0))
    monkeypatch.setitem(inventory._REMOVE, kind, refuse)
    (tmp_path / "small.yaml").write_text(NETWORK)
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": TAG, "Value": "4b22e3"}]}]
    account.ec2.create_key_pair(KeyName=f"{TAG}-4b22e3", TagSpecifications=tags)
    assert main([*arguments, "--sandbox", "--yes"], quietly) == 1
    said = capsys.readouterr()
    assert f"✗ left behind: {kind} " in said.err
    assert "is in use\nTry again later: make test-aws-clean RUN=4b22e3\n" in said.err
    assert "all of it holds" in said.out or "→ refused: InvalidVpc.Range" in said.out


@pytest.mark.usefixtures("named")
def test_questions_have_answers(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    before = account.census()
    assert main(["measure", "--sandbox", "--yes", "overlapping-range", "words-of-route53"]) == 0
    said = capsys.readouterr().out
    assert "→ refused: InvalidVpc.Range" in said
    assert "deleted and not there: refused: InvalidChangeBatch" in said
    assert "removed: hosted_zone" in said
    assert account.census() == before
    assert main(["measure", "--sandbox", "--yes", "overlapping"]) == 2
    assert "no measurement overlapping;" in capsys.readouterr().err


@pytest.mark.usefixtures("named")
def test_a_new_certificate_is_shown_before_it_is_deleted(account: Account, tmp_path: Path) -> None:
    before = account.census()
    place = Place.named(os.environ, sandbox=True)
    bench, acm = Bench(AccountTool(place, tmp_path, quietly), "certificates", {}), place.client("acm")
    arn = acm.request_certificate(DomainName="new.example.com", ValidationMethod="DNS")["CertificateArn"]
    until_shown(bench, acm, arn)
    acm.delete_certificate(CertificateArn=arn)
    assert account.census() == before


def answered(*what: tuple[int, str]) -> list[Answer]:
    shot = Shot("test", Endpoint("localhost", 80, 80), Request("localhost"))
    return [Answer(shot, at, 0, 0, Reply(status, version=version)) for at, (status, version) in enumerate(what)]


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([(200, "old"), (502, ""), (200, "new")], "none of 3 requests failed"),
        ([(200, "old"), (200, "new"), (200, "old")], "the old version answered first"),
        ([(200, "old"), (200, "other"), (200, "new")], "the old version answered first"),
    ],
)
def test_a_roll_that_costs_requests_is_no_success(answers: list[tuple[int, str]], text: str) -> None:
    with pytest.raises(Untrue, match=text):
        judge(answered(*answers))
    judge(answered((200, "old"), (200, "new"), (200, "old"), (200, "new")))


def test_a_url_that_answers_with_errors_isnt_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        assert now < 60, "it still waits"

    monkeypatch.setattr("tests.account.service.FIRST_ANSWER", 10.0)
    monkeypatch.setattr("tests.account.service.time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    with receiving(status=503) as service, pytest.raises(Untrue, match="10 s after apply has ended: status 503"):
        until_it_answers(Place("123456789012", "us-east-1"), service.url)


def more_than_the_network(account: Account, place: Place) -> dict[str, int]:
    """A census with what `Account.census` leaves out: the kinds that few stacks have, and the key pair."""
    ec2, acm = account.ec2, place.client("acm")
    return account.census() | {
        "NAT gateways": sum(item["State"] != "deleted" for item in ec2.describe_nat_gateways()["NatGateways"]),
        "addresses": len(ec2.describe_addresses()["Addresses"]),
        "endpoints": sum(item["State"] != "deleted" for item in ec2.describe_vpc_endpoints()["VpcEndpoints"]),
        "volumes": len(ec2.describe_volumes()["Volumes"]),
        "key pairs": len(ec2.describe_key_pairs()["KeyPairs"]),
        "roles": len(place.client("iam").list_roles()["Roles"]),
        "profiles": len(place.client("iam").list_instance_profiles()["InstanceProfiles"]),
        "buckets": len(place.client("s3").list_buckets()["Buckets"]),
        "certificates": len(acm.list_certificates()["CertificateSummaryList"]),
    }


EACH = {
    "load balancers", "key pairs", "NAT gateways", "addresses", "endpoints", "certificates", "roles", "profiles", "buckets",
}  # fmt: skip


def private_and_more() -> dict[str, Any]:
    """The private stack with an endpoint that is billed, a certificate, a profile, a bucket and the run's key pair."""
    spec = read_spec("private")
    spec["vpc_endpoints"]["ssm"] = {"service_name": "ssm", "subnets": ["private-a"], "security_groups": ["web"]}
    spec["instance_profiles"], spec["log_buckets"] = {"web": {"session_manager": True}}, {"logs": {}}
    spec["certificates"] = {"main": {"domain_name": "shop.example.com"}}
    spec["instances"]["web"]["key_name"] = "the run's"
    return spec


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("stack", "kinds"),
    [
        ("./private.yaml", EACH),
        ("runbook", {"load balancers", "key pairs"}),  # it has no kind that the other lacks
    ],
)
@only_at_length("tests/e2e/test_account.py::test_the_clean_up_after_ctrl_c_waits_for_the_command")
def test_what_a_killed_run_left_is_removed(
    stack: str, kinds: set[str], account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "private.yaml").write_text(yaml.safe_dump(private_and_more()))
    place = Place.named(os.environ, sandbox=True)
    stranger = account.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    account.ec2.create_tags(Resources=[stranger], Tags=[{"Key": f"{TAG}s", "Value": "near miss"}])
    before = more_than_the_network(account, place)

    def are_there() -> bool:
        now = more_than_the_network(account, place)
        return all(now[kind] > before[kind] for kind in kinds)

    command = [sys.executable, "-m", "tests.account", "try", "--sandbox", "--yes", stack]
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
    assert more_than_the_network(account, place) == before
    capsys.readouterr()
    assert main(["clean", "--sandbox"]) == 0
    assert capsys.readouterr().out == f"Nothing in us-east-1 has the tag {TAG}.\n"


Interrupt = Callable[[subprocess.Popen[bytes], Callable[[], object]], None]


def in_a_terminal(running: subprocess.Popen[bytes], _waits: Callable[[], object]) -> None:
    """Ctrl-C, which all processes there get."""
    os.killpg(running.pid, signal.SIGINT)


def by_its_id(running: subprocess.Popen[bytes], waits: Callable[[], object]) -> None:
    """One process only gets it; the second is passed on."""
    running.send_signal(signal.SIGINT)
    until(waits)
    running.send_signal(signal.SIGINT)


@pytest.mark.parametrize("interrupt", [in_a_terminal, *at_length(by_its_id)])
def test_the_clean_up_after_ctrl_c_waits_for_the_command(
    interrupt: Interrupt, proxied: tuple[Proxy, Tool], account: Account, tmp_path: Path
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
            interrupt(running, lambda: has_said(WAITING))
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


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("name", [ACCOUNT, REGION])
def test_it_doesnt_guess_where(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(name)
    assert main(["try", "--sandbox", "--yes"]) == 2
    assert f"{name} must be set" in capsys.readouterr().err


@pytest.mark.usefixtures("named")
def test_another_account_is_refused(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = account.census()
    monkeypatch.setenv(ACCOUNT, "210987654321")
    assert main(["try", "--sandbox", "--yes"]) == 2
    assert "the credentials are those of account 123456789012" in capsys.readouterr().err
    assert account.census() == before


@pytest.mark.usefixtures("named")
def test_nothing_is_made_without_a_word(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The costs are shown, and whoever doesn't type the account's id has changed their mind."""
    before = account.census()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert main(["try", "--sandbox", "private"]) == 2
    said = capsys.readouterr()
    assert "0.16 USD an hour\n" in said.out
    assert "2 × NAT gateway" in said.out
    assert "4 × public IPv4 address" in said.out
    assert said.err == "Nothing was done.\n"
    assert account.census() == before


def test_endpoints_in_subnets_are_billed() -> None:
    """By the zone. Those for S3 and DynamoDB, in route tables, cost nothing."""
    found = needed(
        {"vpc_endpoints": {"s3": {"route_tables": ["a"]}, "ssm": {"subnets": ["a", "b"]}, "ecr": {"subnets": ["a"]}}}
    )
    assert found == {"interface endpoint in a zone": 3}


def test_the_page_has_each_measurement() -> None:
    page = (ROOT / "docs" / "explanation" / "real-account.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{each.name}` | {each.question} |" for each in measurements.ALL.values()]
