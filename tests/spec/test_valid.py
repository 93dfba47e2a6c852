"""Valid specs: what the shipped ones mean."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.kinds._conditions import Condition
from alb_reconcile.kinds.security_group_rules import Permission
from alb_reconcile.model.actions import Action, Forward
from alb_reconcile.model.address import Address, UserData
from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.stack import Stack, load_stack
from tests.spec.helpers import declared, get, load

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = ("demo", "runbook", "existing-vpc", "https", "login", "private")
RUNBOOK_VARIABLES = {
    "VPC_CIDR_BLOCK": "10.77.0.0/16",
    "VPC_NAME": "the-vpc",
    "EC2_SUBNET_CIDR_BLOCK_1": "10.77.1.0/24",
    "EC2_SUBNET_CIDR_BLOCK_2": "10.77.2.0/24",
    "EC2_SUBNET_NAME_1": "the-subnet-1",
    "EC2_SUBNET_NAME_2": "the-subnet-2",
    "ZONE_1": "us-west-2c",
    "ZONE_2": "us-west-2d",
    "EC2_SECURITY_GROUP_NAME": "the-security-group",
    "EC2_INTERNET_GATEWAY_NAME": "the-gateway",
    "EC2_ROUTE_TABLE_NAME": "the-route-table",
    "EC2_IMAGE_ID_1": "ami-00000000000000001",
    "EC2_IMAGE_ID_2": "ami-00000000000000002",
    "EC2_INSTANCE_TYPE_1": "m1.small",
    "EC2_INSTANCE_TYPE_2": "m2.small",
    "EC2_SSH_KEY_NAME": "the-key",
    "EC2_INSTANCE_NAME_1": "the-instance-1",
    "EC2_INSTANCE_NAME_2": "the-instance-2",
    "ALB_NAME": "the-alb",
    "ALB_TARGET_GROUP_NAME": "the-target-group",
}
"""Every variable of the runbook that isn't an id which its own commands print."""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGION", "AWS_REGION", "STACK", "CERTIFICATE_ARN", *RUNBOOK_VARIABLES):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_specs_are_valid(repository: Path, name: str) -> None:
    """Without a variable but the key pair's, and without a warning but the runbook's open SSH."""
    stack = load_stack(str(repository / f"specs/{name}.yaml"), {"EC2_SSH_KEY_NAME": "key"})
    assert stack.desired
    assert stack.account_ids == ()
    warnings = [warning.message for warning in stack.warnings]
    assert len(warnings) == (name == "runbook")
    assert all("SSH" in warning for warning in warnings)


def test_no_other_spec_is_shipped_untested(repository: Path) -> None:
    assert {file.stem for file in (repository / "specs").glob("*.yaml")} == set(SHIPPED)


def test_the_starter_is_valid(repository: Path) -> None:
    stack = load_stack(str(repository / "alb_reconcile/starter.yaml"))
    assert (stack.name, stack.region, stack.warnings) == ("my-service", "us-east-1", ())


def test_the_starters_commented_lines_are_valid_too(repository: Path) -> None:
    """Whoever takes the # off must not be punished for it."""
    text = (repository / "alb_reconcile/starter.yaml").read_text(encoding="utf-8")
    found = re.findall(r"^( *)# (account_ids|tags|key_name|iam_instance_profile|rules|  .*)", text, re.MULTILINE)
    assert len(found) >= 8
    uncommented = re.sub(
        r"^( *)# (account_ids|tags|key_name|iam_instance_profile|rules|  .*)",
        r"\1\2",
        text,
        flags=re.MULTILINE,
    )
    head, body = uncommented.split("\nstack:", 1)
    stack = load("\n".join(f"# {line}" for line in head.splitlines()) + "\nstack:" + body)
    assert stack.account_ids == ("123456789012",)
    assert get(stack, "rule.public/http/soon").tags["team"] == "platform"


class TestDemo:
    """`specs/demo.yaml`, resource by resource."""

    @pytest.fixture
    def stack(self, repository: Path) -> Stack:
        return load_stack(str(repository / "specs/demo.yaml"))

    def test_addresses(self, stack: Stack) -> None:
        assert sorted(map(str, stack.desired)) == [
            "instance.web-1",
            "instance.web-2",
            "internet_gateway.main",
            "listener.public/http",
            "load_balancer.public",
            "registration.web/web-1:80",
            "registration.web/web-2:80",
            "route_table.public",
            "security_group.load-balancer",
            "security_group.web",
            "security_group_rules.load-balancer",
            "security_group_rules.web",
            "subnet.public-a",
            "subnet.public-b",
            "target_group.web",
            "vpc.main",
        ]
        assert all(address == desired.address for address, desired in stack.desired.items())

    def test_network(self, stack: Stack) -> None:
        vpc = Address("vpc", "main")
        subnets = (Address("subnet", "public-a"), Address("subnet", "public-b"))
        assert declared(get(stack, "vpc.main").state) == {
            "cidr_block": "10.0.0.0/16",
            "enable_dns_hostnames": True,
        }
        assert declared(get(stack, "subnet.public-b").state) == {
            "vpc": vpc,
            "cidr_block": "10.0.2.0/24",
            "availability_zone": "us-east-1b",
            "map_public_ip_on_launch": True,
        }
        assert declared(get(stack, "internet_gateway.main").state) == {"vpc": vpc}
        table = get(stack, "route_table.public").state
        assert table.subnets == subnets  # type: ignore[attr-defined]
        assert table.routes == (("0.0.0.0/0", Address("internet_gateway", "main")),)  # type: ignore[attr-defined]

    def test_security_groups(self, stack: Stack) -> None:
        balancer = Address("security_group", "load-balancer")
        state: Any = get(stack, "security_group_rules.web").state
        assert state.security_group == Address("security_group", "web")
        assert state.ingress == (Permission("tcp", 80, 80, balancer, None),)
        assert state.egress is None
        state = get(stack, "security_group_rules.load-balancer").state
        assert [permission.source for permission in state.ingress] == ["0.0.0.0/0"]

    def test_instances(self, stack: Stack, repository: Path) -> None:
        state: Any = get(stack, "instance.web-1").state
        assert state == get(stack, "instance.web-2").state
        assert state.subnets == (Address("subnet", "public-a"), Address("subnet", "public-b"))
        assert state.security_groups == (Address("security_group", "web"),)
        content = (repository / "specs/user-data/web-api.py").read_bytes()
        assert state.user_data == UserData.of(content)
        assert state.user_data.content == content
        assert state.state == "running"
        lifecycle = get(stack, "instance.web-1").lifecycle
        assert (lifecycle.group, lifecycle.rollout.max_surge, lifecycle.rollout.settle) == ("web", 1, 30)

    def test_balancing(self, stack: Stack) -> None:
        group = Address("target_group", "web")
        state: Any = get(stack, "target_group.web").state
        assert state.health_check == {"path": "/health", "interval_seconds": 10, "healthy_threshold_count": 2}
        assert state.attributes == {"deregistration_delay.timeout_seconds": "30"}
        state = get(stack, "load_balancer.public").state
        assert state.attributes == {"routing.http.drop_invalid_header_fields.enabled": "true"}
        state = get(stack, "listener.public/http").state
        assert state.load_balancer == Address("load_balancer", "public")
        assert state.default_action == Action(forward=(Forward(group),))
        state = get(stack, "registration.web/web-2:80").state
        assert (state.target_group, state.target, state.port) == (group, Address("instance", "web-2"), 80)

    def test_defaults_are_for_creation_only(self, stack: Stack) -> None:
        """Left out is not managed: a default is never enforced later."""
        instance: Any = get(stack, "instance.web-1")
        assert instance.state.metadata_options is None
        assert instance.state.root_volume is None
        assert instance.creation.metadata_options == {
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
        }
        assert instance.creation.root_volume == {"encrypted": True}
        listener: Any = get(stack, "listener.public/http")
        assert listener.creation.ssl_policy is None
        for desired in stack.desired.values():
            created = declared(desired.creation)
            for name, value in declared(desired.state).items():
                assert created[name] == value or value.items() < created[name].items()

    def test_tags(self, stack: Stack) -> None:
        for address, desired in stack.desired.items():
            if address.kind in ("registration", "security_group_rules"):
                assert desired.tags == {}
            else:
                assert desired.tags == {"service": "demo", "Name": f"demo-{address.name}"}

    def test_variables(self, repository: Path) -> None:
        given = {"REGION": "ap-northeast-1", "ZONE_1": "c", "ZONE_2": "ap-northeast-1d"}
        stack = load_stack(str(repository / "specs/demo.yaml"), given)
        assert stack.region == "ap-northeast-1"
        zones = [declared(get(stack, f"subnet.public-{letter}").state)["availability_zone"] for letter in "ab"]
        assert zones == ["ap-northeast-1c", "ap-northeast-1d"]


class TestHttps:
    """`specs/https.yaml`: rules, weights and the merge keys it uses."""

    @pytest.fixture
    def stack(self, repository: Path) -> Stack:
        return load_stack(str(repository / "specs/https.yaml"))

    def test_the_secure_policy_is_the_default_for_https_only(self, stack: Stack) -> None:
        listener: Any = get(stack, "listener.public/https")
        assert listener.state.ssl_policy is None
        assert listener.creation.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
        plain: Any = get(stack, "listener.public/http")
        assert plain.creation.ssl_policy is None

    def test_rules(self, stack: Stack) -> None:
        rule: Any = get(stack, "rule.public/https/api").state
        assert rule.listener == Address("listener", "public/https")
        assert rule.conditions == (
            Condition("host_header", ("shop.example.com", "www.shop.example.com")),
            Condition("path_pattern", ("/api/*",)),
        )
        assert sorted(rule.action.forward, key=str) == sorted(
            [
                Forward(Address("target_group", "stable"), 90),
                Forward(Address("target_group", "canary"), 10),
            ],
            key=str,
        )
        assert rule.action.stickiness_seconds == 300
        redirect: Any = get(stack, "listener.public/http").state
        assert dict(redirect.default_action.redirect) == {
            "protocol": "HTTPS",
            "port": "443",
            "status_code": "HTTP_301",
        }

    def test_merged_entries(self, stack: Stack) -> None:
        """What an entry says itself wins over what it merges."""
        stable: Any = get(stack, "instance.stable-2").state
        canary: Any = get(stack, "instance.canary-1").state
        assert Address("instance", "canary-2") not in stack.desired
        assert b"start canary" in canary.user_data.content
        assert dataclasses.replace(canary, user_data=stable.user_data) == stable


def test_existing_vpc_looks_up_what_it_does_not_own(repository: Path) -> None:
    """Nothing of the network is ours."""
    stack = load_stack(str(repository / "specs/existing-vpc.yaml"), {"NETWORK": "other"})
    assert {address.kind for address in stack.desired} == {
        "security_group",
        "security_group_rules",
        "instance",
        "target_group",
        "registration",
        "load_balancer",
        "listener",
    }
    balancer: Any = get(stack, "load_balancer.internal").state
    assert balancer.subnets == ("subnets (tag Network=other, Tier=private)",)
    assert declared(get(stack, "target_group.api").state)["vpc"] == "vpc (tag Name=other)"
    instance: Any = get(stack, "instance.api-1")
    assert instance.creation.root_volume == {"encrypted": True, "volume_size": 20, "volume_type": "gp3"}
    assert instance.state.root_volume == {"volume_size": 20, "volume_type": "gp3"}


class TestRunbook:
    """`specs/runbook.yaml`: the shell runbook, to the letter."""

    @pytest.fixture
    def stack(self, repository: Path) -> Stack:
        return load_stack(str(repository / "specs/runbook.yaml"), RUNBOOK_VARIABLES)

    def test_every_variable_of_the_runbook_is_one_of_the_spec(self, repository: Path) -> None:
        text = (repository / "specs/runbook.yaml").read_text(encoding="utf-8")
        used = set(re.findall(r"\$\{([A-Z0-9_]+)", text))
        assert used == {*RUNBOOK_VARIABLES, "STACK", "AWS_REGION"}

    @pytest.mark.parametrize("name", RUNBOOK_VARIABLES)
    def test_each_variable_arrives(self, stack: Stack, name: str) -> None:
        """Under its own name, in the place where the runbook uses it."""
        assert RUNBOOK_VARIABLES[name] in repr(stack.desired)

    def test_only_the_key_pair_has_no_default(self, repository: Path) -> None:
        with pytest.raises(SpecError) as caught:
            load_stack(str(repository / "specs/runbook.yaml"))
        errors = [problem for problem in caught.value.problems if not problem.warning]
        assert len(errors) == 2
        assert all("the variable EC2_SSH_KEY_NAME is not defined" in error.message for error in errors)

    def test_what_the_runbook_gets_wrong_is_right(self, stack: Stack) -> None:
        """Both subnets follow the table and map public addresses; all names are the runbook's."""
        table: Any = get(stack, "route_table.main").state
        assert table.subnets == (Address("subnet", "subnet-1"), Address("subnet", "subnet-2"))
        for number, letter in ((1, "c"), (2, "d")):
            subnet = get(stack, f"subnet.subnet-{number}")
            assert declared(subnet.state)["map_public_ip_on_launch"] is True
            assert declared(subnet.state)["availability_zone"] == f"us-west-2{letter}"
            assert subnet.tags == {"Name": f"the-subnet-{number}"}

    def test_the_rest_is_the_runbooks(self, stack: Stack) -> None:
        rules: Any = get(stack, "security_group_rules.main").state
        assert sorted(permission[:4] for permission in rules.ingress) == [
            ("tcp", 22, 22, "0.0.0.0/0"),
            ("tcp", 80, 80, "0.0.0.0/0"),
        ]
        for letter, number in (("a", 1), ("b", 2)):
            desired: Any = get(stack, f"instance.web-{letter}-1")
            assert desired.tags == {"Name": f"the-instance-{number}"}
            assert desired.state.image_id == f"ami-0000000000000000{number}"
            assert desired.state.instance_type == f"m{number}.small"
            assert desired.state.key_name == "the-key"
            assert desired.state.subnets == (Address("subnet", f"subnet-{number}"),)
        balancer: Any = get(stack, "load_balancer.main").state
        assert (balancer.name, balancer.security_groups) == ("the-alb", (Address("security_group", "main"),))
        assert declared(get(stack, "target_group.main").state)["name"] == "the-target-group"
