"""`iam-policy FLEET`: what whoever runs a fleet may do, and what each role in the accounts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.iam_policy import policy_documents
from alb_reconcile.cli.main import main
from alb_reconcile.spec.stack import load_stack

if TYPE_CHECKING:
    from tests.fleet.conftest import Team

QUEUE = "https://sqs.eu-central-1.amazonaws.com/999999999999/cells"


@pytest.fixture
def ask(team: Team, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `iam-policy` in the fleet's folder. Returns its exit code, its document, and what people are told."""
    monkeypatch.chdir(team.folder)
    team.rewrite("fleet: shops", "fleet: shops\nresults: s3://kept/below")

    def run(*arguments: str) -> tuple[int, Any, str]:
        code = main(["iam-policy", *arguments])
        told = capsys.readouterr()
        return code, json.loads(told.out or "null"), told.err

    return run


def statements(documents: list[dict[str, Any]]) -> list[tuple[Any, Any, Any]]:
    return [
        (part["Action"], part["Resource"], part.get("Condition", {}).get("StringEquals"))
        for item in documents
        for part in item["Statement"]
    ]


def test_each_role_may_do_what_its_stacks_need_and_the_fleet_what_leads_there(team: Team, ask: Any) -> None:
    team.rewrite("role: alb-reconcile\n", "role: alb-reconcile\n  external_id: shops-1\n  session_tags: {team: a}\n")
    team.rewrite("name: third", "name: third, external_id: shops-3, stacks: [stacks/web.yaml]")
    code, told, _ = ask("fleet.yaml", "--for", "sync", "--issue", "--queue", QUEUE)
    assert code == 0
    roles = [f"arn:aws:iam::{digit * 12}:role/alb-reconcile" for digit in "123"]
    kept, bucket = "arn:aws:s3:::kept/below/shops/*", "arn:aws:s3:::kept"
    assert statements(told["administration_role"]) == [
        ("sts:AssumeRole", roles[:2], {"sts:ExternalId": "shops-1"}),
        ("sts:AssumeRole", roles[2], {"sts:ExternalId": "shops-3"}),
        ("sts:TagSession", roles, {"aws:RequestTag/team": "a"}),
        (["s3:GetObject", "s3:PutObject"], kept, None),
        ("s3:ListBucket", bucket, None),
        (
            ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
            "arn:aws:sqs:eu-central-1:999999999999:cells", None,
        ),
    ]  # fmt: skip
    assert statements(told["enqueue_role"])[1:] == [("s3:GetObject", kept, None), ("s3:ListBucket", bucket, None)]
    assert [*told["execution_roles"]] == roles
    regions = ("us-east-1", "eu-central-1")
    stacks = [load_stack("stacks/web.yaml", {"ACCOUNT_ID": "3" * 12}, region).target() for region in regions]
    there = policy_documents([replace(item, account_ids=("3" * 12,)) for item in stacks], "sync", issue=True)
    assert told["execution_roles"][roles[2]] == there
    assert "cloudtrail:LookupEvents" in json.dumps(there)
    assert '"api"' in json.dumps(told["execution_roles"][roles[0]])


def test_a_plan_keeps_nothing_and_an_account_without_a_role_is_the_callers(team: Team, ask: Any) -> None:
    team.rewrite("  role: alb-reconcile\n", "")
    _, told, _ = ask("fleet.yaml", "--for", "plan")
    assert told["execution_roles"] == {}
    actions = {name for name, _, _ in statements(told["administration_role"]) if isinstance(name, str)}
    actions |= {one for name, _, _ in statements(told["administration_role"]) for one in name if isinstance(name, list)}
    assert "ec2:DescribeVpcs" in actions
    assert not [name for name in actions if name.startswith(("s3:", "sts:", "cloudtrail:"))]
