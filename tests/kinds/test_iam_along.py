"""What AWS asks of a caller beside the call's own permission, under exactly the printed policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.iam_policy import policy_documents
from alb_reconcile.aws.client import Aws
from alb_reconcile.locking.store import LeaseLocation, LeaseStore
from alb_reconcile.model.errors import LeaseError
from tests.harness import REGION, by_hand, demo, load, world
from tests.kinds.authorization import Guard
from tests.kinds.hand import edited
from tests.kinds.test_nat_gateway import REGIONAL, ZONAL
from tests.kinds.test_vpc_endpoint import ssm
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.api.iam_policy import Command
    from alb_reconcile.aws.transport import Response
    from tests.harness import Spec, World

FIRST = "iam:CreateServiceLinkedRole"
OF_EC2 = ("ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:GetSecurityGroupsForVpc")


def policies(spec: Spec, command: Command = "apply", without: str = "") -> list[dict[str, Any]]:
    """Those that are printed, but for one action."""
    found = policy_documents([load(spec).target()], command)
    for statement in (item for document in found for item in document["Statement"]):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [action for action in actions if action != without]
    return found


def applied(there: World, spec: Spec, without: str = "") -> Guard:
    """What IAM was asked when a spec was applied under its policy."""
    guard = Guard(there)
    guard.documents = policies(spec, without=without)
    assert bool(there.apply(spec).failures) == bool(without)
    assert {request.action for request in guard.denied} == ({without} if without else set())
    return guard


def test_an_accounts_first_load_balancer() -> None:
    with world() as there:
        assert {FIRST, *OF_EC2} <= applied(there, demo()).used
        there.destroy(demo())
        assert FIRST not in applied(there, demo()).used, "the account has the role"


@pytest.mark.parametrize("action", [FIRST, *OF_EC2])
def test_without_it_there_is_no_load_balancer(action: str) -> None:
    with world() as there:
        applied(there, demo(), without=action)
        assert there.client("elbv2").describe_load_balancers()["LoadBalancers"] == []


def test_sync_has_them_where_it_may_create() -> None:
    assert {FIRST, *OF_EC2} <= actions_in(policies(demo(), "sync"))
    only_reports = {**demo(), "sync": {"report": ["create", "replace"]}}
    assert not {FIRST, *OF_EC2} & actions_in(policies(only_reports, "sync"))


def actions_in(documents: list[dict[str, Any]]) -> set[str]:
    return {action for document in documents for item in document["Statement"] for action in item["Action"]}


def test_an_accounts_first_regional_nat_gateway() -> None:
    with world() as there:
        assert FIRST in applied(there, REGIONAL).used
    with world() as there:
        applied(there, REGIONAL, without=FIRST)
    assert FIRST not in actions_in(policies(ZONAL))


def test_service_linked_roles_are_called_the_same_in_china() -> None:
    """terraform-aws-modules/terraform-aws-iam#627: elasticloadbalancing.amazonaws.com.cn is no principal that has one."""
    texts = str(policies({**demo(), "region": "cn-north-1"}))
    assert ":role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing" in texts
    assert "elasticloadbalancing.amazonaws.com.cn" not in texts


def test_an_endpoint_for_a_service_of_another_region() -> None:
    abroad = ssm(service_region="eu-west-1")
    with world() as there:
        assert "vpce:AllowMultiRegion" in applied(there, abroad).used
        changed = edited(abroad, "vpc_endpoints/ssm/security_groups", ["endpoints", "more"])
        assert "vpce:AllowMultiRegion" in applied(there, changed).used
        guard = Guard(there)
        guard.documents = policies(abroad, "destroy")
        there.destroy(abroad)
        assert "vpce:AllowMultiRegion" in guard.used
        assert not [request for request in guard.denied if request.action.startswith("vpce:")]
    assert "vpce:AllowMultiRegion" not in actions_in(policies(ssm()))


def test_a_lease_that_was_never_written_is_read_as_missing() -> None:
    """What `lock show` reads; who may not list the bucket is told AccessDenied."""
    spec = {**demo(), "account_ids": ["123456789012"], "lease": "s3://locks/prod"}
    place = LeaseLocation.of("s3://locks/prod", "123456789012", REGION, "demo")
    with world() as there:
        by_hand("s3").create_bucket(Bucket="locks")
        guard = Guard(there)

        def send(service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
            answer: Response = guard._call(service, operation, params)
            return answer

        store = LeaseStore(Aws(send, max_workers=0, region=REGION), place)
        guard.documents = policies(spec)
        assert run_virtually(there.clock, store.read()) is None
        guard.documents = policies(spec, without="s3:ListBucket")
        with pytest.raises(LeaseError, match="s3:ListBucket, if there is no such object yet"):
            run_virtually(there.clock, store.read())
