"""The examples for CloudFormation: linted, and with the permissions that the program prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.api.iam_policy import policy_documents
from alb_reconcile.aws.role import Role
from alb_reconcile.fleet.cells import Cell, Fleet, Source
from alb_reconcile.fleet.iam_policy import fleet_policies
from alb_reconcile.fleet.queues import Queue
from alb_reconcile.locking.store import LeaseLocation
from alb_reconcile.model.policy_document import PolicyDocument
from alb_reconcile.spec.stack import load_stack
from tests.harness import REGION, SPECS

if TYPE_CHECKING:
    from collections.abc import Iterable

EXAMPLES = Path(__file__).parent.parent / "examples"
FLEET, MEMBER = EXAMPLES / "fleet-cloudformation.yaml", EXAMPLES / "fleet-member-role.yaml"
ON_EC2 = EXAMPLES / "fleet-ec2.yaml"
ALL = [FLEET, ON_EC2, MEMBER]


def template(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("file", ALL, ids=lambda file: file.name)
def test_the_linter_finds_nothing(file: Path) -> None:
    from cfnlint.api import lint_file  # type: ignore[import-untyped]  # it has no types; read late: it reads SymPy

    assert [str(match) for match in lint_file(file)] == []


def test_the_members_policy_is_what_the_program_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION", "eu-central-1")
    (printed,) = policy_documents([load_stack(str(SPECS / "demo.yaml")).target()], "sync")
    written = template(MEMBER)["Resources"]["Policy"]["Properties"]["PolicyDocument"]
    assert PolicyDocument.of(written) == PolicyDocument.of(printed), "put there what iam-policy prints now"


def test_workers_may_do_what_the_program_prints() -> None:
    """By the actions; resources are the template's own."""
    place = Source("", s3="s3://example-fleet/specs")
    role = Role("arn:aws:iam::111111111111:role/alb-reconcile", "fleet", "shops-2026", {"team": "a"})
    cell = Cell("shops", "111111111111", REGION, "all", (place,), Path(), role=role)
    fleet = Fleet("shops", "fleet.yaml", (cell,), (), "s3://example-fleet/results")
    queue = Queue.parse(f"https://sqs.{REGION}.amazonaws.com/123456789012/alb-reconcile-shops")
    printed = fleet_policies(fleet, [(cell, ())], "sync", queue, issue=False)
    roles = template(FLEET)["Resources"]
    assert actions_of(written(roles["WorkerRole"])) == actions_of(printed.administration)
    assert actions_of(written(roles["EnqueueRole"])) == actions_of(printed.enqueue)
    (both,) = written(template(ON_EC2)["Resources"]["WorkerRole"])
    assert actions_of([both]) == actions_of([*printed.administration, *printed.enqueue])


def written(role: dict[str, Any]) -> list[dict[str, Any]]:
    """A role's own policies."""
    return [item["PolicyDocument"] for item in role["Properties"]["Policies"]]


def actions_of(policies: Iterable[dict[str, Any]]) -> set[str]:
    stated = [part["Action"] for document in policies for part in document["Statement"]]
    return {name for actions in stated for name in ([actions] if isinstance(actions, str) else actions)}


def test_each_account_may_take_its_own_leases_only() -> None:
    (_, allowed) = template(FLEET)["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    place = LeaseLocation.of("s3://example-fleet/leases", "111111111111", REGION, "shop")
    assert allowed["Resource"]["Fn::Sub"] == "${Bucket.Arn}/leases/${!aws:PrincipalAccount}-*"
    assert place.arn.startswith("arn:aws:s3:::example-fleet/leases/111111111111-")
