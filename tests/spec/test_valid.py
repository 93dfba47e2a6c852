"""Valid specs: what the shipped ones mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.stack import Stack, load_stack
from tests.harness import SPECS
from tests.spec.helpers import declared, get, load

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = sorted(file.stem for file in SPECS.glob("*.yaml"))
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


def test_the_starter_is_valid(repository: Path) -> None:
    stack = load_stack(str(repository / "alb_reconcile/starter.yaml"))
    assert (stack.name, stack.region, stack.warnings) == ("my-service", "us-east-1", ())


def test_the_starters_commented_lines_are_valid_too(repository: Path) -> None:
    """Whoever takes the # off must not be punished for it."""
    text = (repository / "alb_reconcile/starter.yaml").read_text(encoding="utf-8")
    commented = r"^( *)# (account_ids|tags|key_name|iam_instance_profile|rules|  .*)"
    uncommented, count = re.subn(commented, r"\1\2", text, flags=re.MULTILINE)
    assert count >= 8
    head, body = uncommented.split("\nstack:", 1)
    stack = load("\n".join(f"# {line}" for line in head.splitlines()) + "\nstack:" + body)
    assert stack.account_ids == ("123456789012",)
    assert get(stack, "rule.public/http/soon").tags["team"] == "platform"


def test_defaults_are_for_creation_only(repository: Path) -> None:
    """Left out is not managed: a default is never enforced later."""
    stack = load_stack(str(repository / "specs/demo.yaml"))
    instance: Any = get(stack, "instance.web-1")
    assert instance.state.metadata_options is None
    assert instance.state.root_volume is None
    assert instance.creation.metadata_options == {"http_tokens": "required", "http_put_response_hop_limit": 1}
    assert instance.creation.root_volume == {"encrypted": True}
    listener: Any = get(stack, "listener.public/http")
    assert listener.creation.ssl_policy is None
    for desired in stack.desired.values():
        created = declared(desired.creation)
        for name, value in declared(desired.state).items():
            assert created[name] == value or value.items() < created[name].items()


def test_the_secure_policy_is_the_default_for_https_only(
    repository: Path,
) -> None:
    stack = load_stack(str(repository / "specs/https.yaml"))
    listener: Any = get(stack, "listener.public/https")
    assert listener.state.ssl_policy is None
    assert listener.creation.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    plain: Any = get(stack, "listener.public/http")
    assert plain.creation.ssl_policy is None


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
