"""Instances without public addresses, behind a load balancer, with a NAT gateway in each zone: their changes cost no request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.load.specs import private
from tests.load.stage import SOAK, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A faster one than the others': NAT gateways take minutes of AWS's time, and nothing here is measured against a drain."""
    made = Stage(tmp_path_factory.mktemp("private"), speed=120)
    yield made
    made.close()


def test_a_private_stack_is_rolled(stage: Stage) -> None:
    """With SOAK=1 its NAT gateways are replaced as well, with other addresses, and it is rolled back after that."""
    with stage.under_load(private(version="first"), requests=10_000 if SOAK else 400, around=80) as proof:
        stage.apply(private(version="second"))
        if SOAK:
            stage.apply(private(version="second", addresses="other"))
            stage.apply(private(version="first", addresses="other"))
            stage.apply(private(version="second", addresses="other"))
    proof.holds(least=2)
    proof.moves("first", "second")
    assert all("PublicIpAddress" not in item for item in instances(stage))
    stage.is_settled(private(version="second", addresses="other" if SOAK else "nat"))


def instances(stage: Stage) -> list[dict[str, object]]:
    """Those of the stack that run, as AWS shows them."""
    wanted = {"tag:alb-reconcile:stack": "private", "instance-state-name": "running"}
    filters = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
    found = stage.account.ec2.describe_instances(Filters=filters)["Reservations"]
    return [item for reservation in found for item in reservation["Instances"]]
