"""Exports of what isn't there, isn't free, or isn't what it is said to be: one clear line, and nothing written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

from alb_reconcile.cli.main import main
from alb_reconcile.export.export import ExportWishes
from alb_reconcile.export.foreign_names import names_in_state
from alb_reconcile.export.scope import ExportScope
from alb_reconcile.model.errors import RefusedError, UsageError
from tests.adoption.adopting import our_tags
from tests.export.exporting import adopted, exported, plain, steps
from tests.export.hand_made import by_ansible, elb_tags, network, tagged
from tests.harness import REGION, world
from tests.test_hostile_texts import assert_harmless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import World

pytestmark = pytest.mark.slow


HERE = "us-east-1, account 123456789012"


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    with world() as found:
        yield found


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (
            ExportScope(load_balancers=("shop",)),
            f"there is no Application Load Balancer shop in {HERE}; correct the name, or --r",
        ),
        (ExportScope(vpcs=("vpc-1",)), f"there is no VPC vpc-1 in {HERE}; correct the id, or --region"),
        (ExportScope(tags={"team": "\x1b[2J"}), r"nothing that a spec could describe was found by tag team=\x1b[2J"),
    ],
)
def test_nothing_is_there(account: World, scope: ExportScope, words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        exported(account, scope)
    assert words in str(refused.value)
    assert_harmless(str(refused.value))


def test_what_is_half_another_stacks_is_described_around_it(account: World, tmp_path: Path) -> None:
    made = by_ansible(account)
    foreign = made["instances"][0]
    theirs = {"stack": "theirs", "address": "instance.web-1", "adopted": foreign}
    listed = elb_tags(**{f"alb-reconcile:{name}": value for name, value in theirs.items()})
    account.client("ec2").create_tags(Resources=[foreign], Tags=listed)
    found = exported(account, ExportScope(vpcs=(made["vpc"],)), tmp_path)
    assert found.notes == (f"{foreign} belongs to the stack theirs: it is left out, and named by its id",)
    spec = plain(found)
    assert spec["instances"]["web"]["count"] == 2
    assert spec["target_groups"]["web"]["targets"] == ["web"]
    assert spec["target_groups"]["web"]["others"] == "keep"
    assert steps(adopted(account, found, tmp_path)) == []
    assert our_tags(account)[foreign]["alb-reconcile:stack"] == "theirs"


def test_a_group_that_a_database_wears_too_stays_outside(account: World, tmp_path: Path) -> None:
    """Only network interfaces tell of what no kind of ours is."""
    made = by_ansible(account)
    database = account.client("ec2").create_network_interface(
        SubnetId=made["subnets"][0], Groups=[made["web"]], Description="RDSNetworkInterface"
    )["NetworkInterface"]["NetworkInterfaceId"]  # fmt: skip
    found = exported(account, ExportScope(load_balancers=("shop",)), tmp_path)
    assert found.notes == (
        f"{made['web']} is used by {database} (RDSNetworkInterface) as well: it is left out, and named by its id",
    )
    assert f"  # {made['web']} stays outside: {database} (RDSNetworkInterface) uses it as well\n" in found.text
    assert list(plain(found)["security_groups"]) == ["front"]
    assert steps(adopted(account, found, tmp_path)) == []


def test_what_traffic_goes_through_or_is_let_in_from_isnt_used_by_that(account: World, tmp_path: Path) -> None:
    """A database's group lets in the service's, and a route leads through one of its instances: neither keeps them outside."""
    made = by_ansible(account)
    ec2 = account.client("ec2")
    database = ec2.create_security_group(GroupName="database", Description="Theirs", VpcId=made["vpc"])["GroupId"]
    inside = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": made["web"]}]}
    ec2.authorize_security_group_ingress(GroupId=database, IpPermissions=[inside])
    ec2.create_route(
        RouteTableId=made["table"], DestinationCidrBlock="10.99.0.0/16", InstanceId=made["instances"][0]
    )  # fmt: skip
    found = exported(account, ExportScope(load_balancers=("shop",)), tmp_path)
    assert found.notes == ()
    assert plain(found)["instances"]["web"]["count"] == 3
    assert plain(found)["security_groups"].keys() == {"front", "web"}
    assert steps(adopted(account, found, tmp_path)) == []


def test_what_is_registered_by_others_isnt_managed(account: World, tmp_path: Path) -> None:
    """Instances of an Auto Scaling group, and addresses such as an ECS service registers: they come and go."""
    made = by_ansible(account)
    scaled = made["instances"][:2]
    for item in scaled:  # a tag that only AWS may write
        ec2_backends[DEFAULT_ACCOUNT_ID][REGION].tags[item]["aws:autoscaling:groupName"] = "web"
    elb = account.client("elbv2")
    tasks = elb.create_target_group(
        Name="tasks", Protocol="HTTP", Port=80, VpcId=made["vpc"], TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    elb.register_targets(TargetGroupArn=tasks, Targets=[{"Id": "10.20.0.77", "Port": 80}])
    found = exported(account, ExportScope(vpcs=(made["vpc"],)), tmp_path)
    assert set(found.notes) == {
        f"{item} is left out: the Auto Scaling group web launches and terminates it as it needs" for item in scaled
    }
    groups = plain(found)["target_groups"]
    assert (groups["web"]["targets"], groups["web"]["others"]) == (["web"], "keep")
    assert "targets" not in groups["tasks"]
    assert "count" not in plain(found)["instances"]["web"]
    assert "# others: keep, since 10.20.0.77 on port 80 has no entry here" in found.text
    assert steps(adopted(account, found, tmp_path)) == []
    elb.register_targets(TargetGroupArn=tasks, Targets=[{"Id": "10.20.0.78", "Port": 80}])
    elb.deregister_targets(TargetGroupArn=made["group"], Targets=[{"Id": scaled[0], "Port": 8080}])
    account.clock.advance(300)
    spec = plain(found)
    (web,) = spec["instances"].values()
    web["user_data"] = (tmp_path / web.pop("user_data_file")).read_text(encoding="utf-8")
    assert account.plan(spec).is_empty


def test_a_tag_takes_what_carries_it_and_what_is_in_that(account: World, tmp_path: Path) -> None:
    made = by_ansible(account)
    found = exported(account, ExportScope(tags={"managed_by": "ansible"}), tmp_path)
    spec = plain(found)
    assert f"follow {made['table']}, which is left out: they and the VPC are left out" in found.notes[0]
    assert spec.keys() - {"stack", "region", "account_ids", "tags"} == {"instances", "load_balancers"}
    listener = spec["load_balancers"]["shop"]["listeners"]["http"]
    assert listener["default_action"] == {"forward": made["group"]}
    assert len(listener["rules"]) == 2
    assert steps(adopted(account, found, tmp_path)) == []


def test_rules_of_a_security_group_are_all_there_or_none(account: World, tmp_path: Path) -> None:
    """Ping, as the console makes it, has a type and any code. A protocol that no entry has leaves its whole list to others."""
    made = network(account)
    ec2 = account.client("ec2")
    anywhere = {"IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "on"}]}
    permissions = {
        "ping": {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, **anywhere},
        "icmp": {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, **anywhere},
        "esp": {"IpProtocol": "50", "FromPort": -1, "ToPort": -1, **anywhere},
    }
    for name, permission in permissions.items():
        group = ec2.create_security_group(GroupName=name, Description=name, VpcId=made["vpc"])["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    found = exported(account, ExportScope(vpcs=(made["vpc"],)), tmp_path)
    groups = plain(found)["security_groups"]
    anyone = {"cidr_block": "0.0.0.0/0", "description": "on"}
    assert groups["ping"]["ingress"] == [{"protocol": "icmp", "from_port": 8, "to_port": -1, **anyone}]
    assert groups["icmp"]["ingress"] == [{"protocol": "icmp", **anyone}]
    assert "ingress" not in groups["esp"]
    assert "# ingress is left out: " in found.text
    assert steps(adopted(account, found, tmp_path)) == []


HOSTILE = [
    "\x85Converged.", "${HOME}", "no", "0x1F", "22:22", "a: b # c", "'\"", "- x", "*all", "&a", "!!python/object", "%TAG", "\u202e|",
    "vpc-0123456789abcdef0", "null", " ", "é漢", "~",
]  # fmt: skip


def test_hostile_names_and_tags_are_data(account: World, tmp_path: Path) -> None:
    """Names that YAML, a shell, a terminal or this tool would take for something else."""
    made = network(account)
    ec2 = account.client("ec2")
    for number, text in enumerate(HOSTILE):
        ec2.create_subnet(
            VpcId=made["vpc"], CidrBlock=f"10.20.{number + 10}.0/24", AvailabilityZone="us-east-1a",
            TagSpecifications=tagged("subnet", Name=text, **{f"key{number}": text}),
        )  # fmt: skip
    found = exported(account, ExportScope(vpcs=(made["vpc"],)), tmp_path)
    assert_harmless(found.text)
    assert found.problems == ()
    spec = plain(found)
    assert len(spec["subnets"]) == len(HOSTILE) + 2
    names = {entry.get("name", "").replace("$${", "${") for entry in spec["subnets"].values()}
    assert names >= {text for text in HOSTILE if text.strip()}
    assert steps(adopted(account, found, tmp_path)) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\xff", "it isn't JSON"),
        (b'{"version": 3, "modules": []}', "has version 3, and only states of version 4 are read"),
        (b'{"version": 4,\n "resources": [', "it isn't JSON at line 2, column 16; write it with: terraform state"),
        (b'{"encrypted_data": "x", "encryption_version": "v0"}', "is encrypted; write it with: tofu state pull"),
        (b'{"version": 3, "backend": {"type": "s3"}}', "says only where the state is; write it with: terraform state"),
    ],
)
def test_a_state_file_of_another_sort_is_refused_in_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "x.tfstate").write_bytes(data)
    with pytest.raises(UsageError) as refused:
        names_in_state(str(tmp_path / "x.tfstate"))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_names_are_those_of_the_resources_in_modules_too(tmp_path: Path) -> None:
    """`count` and `for_each` of resources and of modules; of an object only its ids are read, never what is sensitive."""

    def managed(kind: str, name: str, *instances: Any, module: str = "") -> dict[str, Any]:
        own = {"mode": "managed", "type": kind, "name": name, "instances": list(instances)}
        return {**own, "module": module} if module else own

    def one(physical_id: str, index: Any = None, **attributes: Any) -> dict[str, Any]:
        found = {
            "attributes": {"id": physical_id, **attributes},
            "sensitive_attributes": [[{"type": "get_attr", "value": "id"}]],
        }
        return found if index is None else {**found, "index_key": index}

    record = {"zone_id": "Z1", "fqdn": "Shop.example.com", "type": "A", "set_identifier": None}
    resources = [
        managed("aws_instance", "web", one("i-1", 0), one("i-2", 1)),
        managed("aws_subnet", "public", one("subnet-1", "10"), one("subnet-2", "eu.west")),
        managed("aws_lb", "this", one("arn:lb", 0, password="hunter2"), module="module.edge.module.alb"),
        managed("aws_vpc", "main", one("vpc-1"), module='module.net["module.eu"]'),
        managed("aws_key_pair", "ops", one("ops", key_pair_id="key-1")),
        managed("aws_route53_record", "front", one("Z1_shop.example.com_A", **record)),
    ]
    (tmp_path / "x.tfstate").write_text(json.dumps({"version": 4, "resources": resources}), encoding="utf-8")
    names = names_in_state(str(tmp_path / "x.tfstate"))
    assert "hunter2" not in str(names)
    assert names == {
        "i-1": "web-1", "i-2": "web-2", "subnet-1": "public-10", "subnet-2": "public-eu.west", "arn:lb": "alb",
        "vpc-1": 'net-"module.eu"', "ops": "ops", "key-1": "ops", "Z1_shop.example.com_A": "front",
        "arn:aws:route53:::hostedzone/Z1/recordset/shop.example.com/A": "front",
    }  # fmt: skip


def test_a_state_gives_names_and_that_of_something_else_is_told(account: World, tmp_path: Path) -> None:
    made = network(account)
    found = exported(account, ExportScope(vpcs=(made["vpc"],)), tmp_path, ExportWishes(names={made["vpc"]: "theirs"}))
    assert (list(plain(found)["vpcs"]), found.notes) == (["theirs"], ())
    found = exported(
        account, ExportScope(vpcs=(made["vpc"],)), tmp_path, ExportWishes(names={"vpc-0123456789abcdef0": "other"})
    )
    assert found.notes == (
        "none of the names from --from-state and --from-stack is that of something here; look whether it is the right state or stack",
    )  # fmt: skip


def test_the_command_writes_a_spec_and_its_files_once(
    account: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = by_ansible(account)
    assert main(["export", "--load-balancer", "shop", "--vpc", made["vpc"], "-o", "stack.yaml"]) == 0
    said = capsys.readouterr()
    assert said.out == (
        "Wrote stack.yaml: 20 resources.\n"
        "Wrote user data, which only you can read: user-data/web.\n"
        "User data may hold secrets. Look through it before you commit or share it.\n"
        "Next: alb-reconcile adopt stack.yaml\n"
    )
    assert "hunter2" not in said.out + said.err + (tmp_path / "stack.yaml").read_text(encoding="utf-8")
    assert (tmp_path / "user-data" / "web").stat().st_mode & 0o777 == 0o600
    assert main(["export", "--vpc", made["vpc"], "-o", "stack.yaml"]) == 4
    assert "stack.yaml already exists and was left unchanged" in capsys.readouterr().err
    (tmp_path / "other-user-data").mkdir()
    (tmp_path / "other-user-data" / "web").touch()
    assert main(["export", "--vpc", made["vpc"], "-o", "other.yaml"]) == 4
    assert "other-user-data/web already exists and was left unchanged" in capsys.readouterr().err
    assert not (tmp_path / "other.yaml").exists()
    assert main(["export", "--vpc", made["vpc"]]) == 0
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err
    assert "# its user data isn't written here, since it may hold secrets" in said.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 64, "say what to export: --load-balancer NAME, --vpc ID or --tag KEY=VALUE"),
        (["--tag", "x"], 64, "--tag expects KEY=VALUE"),
        (["--vpc", "vpc-1", "--stack", "A b"], 64, "isn't a stack's name"),
        (["--vpc", "vpc-1", "--region", "here"], 64, "--region expects a region"),
        (["--vpc", "vpc-1", "--from-state", "none"], 64, "--from-state none: can't be read: No such file or directory"),
        (
            ["--vpc", "vpc-1", "--from-stack", "x", "--sandbox"],
            64,
            "the sandbox has no CloudFormation: leave out --from",
        ),
        (["--vpc", "vpc-1", "--from-stack", "none"], 4, "there is no CloudFormation stack none in us-east-1, account"),
        (["--stack", "demo", "--from-stack", "x"], 64, "the entries of the stack demo have names already: leave out"),
        (["--stack", "demo"], 4, "nothing in us-east-1, account 123456789012 belongs to the stack demo"),
    ],
)
def test_a_command_that_cant_be_meant_is_one_line(
    account: World, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert main(["export", *arguments]) == code
    said = capsys.readouterr()
    assert words in said.err
    assert not said.out
