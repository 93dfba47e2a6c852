"""What botocore's models say of calls, and how tags are written by it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from alb_reconcile.aws import shapes
from alb_reconcile.aws.client import TOKENS, Aws
from alb_reconcile.aws.tagging import remove_tags, service_of, write_tags
from alb_reconcile.model.errors import AwsError
from alb_reconcile.sandbox.strict import VirtualClock
from tests.virtual import run_virtually


def answering(*answers: Any) -> tuple[list[tuple[str, str, Any]], Any]:
    """What was asked, and a transport that gives these answers, or raises them."""
    asked: list[tuple[str, str, Any]] = []
    left = itertools.chain(answers, itertools.repeat(answers[-1]))

    def ask(service: str, operation: str, params: Any, /, *, once: bool = False) -> Any:
        asked.append((service, operation, params))
        if isinstance(answer := next(left), AwsError):
            raise answer
        return answer

    return asked, ask


def run(transport: Any, main: Any) -> Any:
    async def session() -> Any:
        return await main(Aws(transport, max_workers=0))

    return run_virtually(VirtualClock(), session())


@pytest.mark.parametrize(("out", "into"), TOKENS.items())
def test_pages_are_read_by_whatever_their_tokens_are_called(out: str, into: str) -> None:
    asked, transport = answering({"rows": [1], out: "next"}, {"rows": [2], out: ""})
    assert run(transport, lambda aws: aws.pages("logs", "describe_log_groups", "rows", limit=1)) == [1, 2]
    assert [params for *_, params in asked] == [{"limit": 1}, {"limit": 1, into: "next"}]


@pytest.mark.parametrize(
    ("arn", "tagged", "untagged"),
    [
        ("arn:aws:logs:us-east-1:123456789012:log-group:a", {"resourceArn": ..., "tags": {"k": "v"}}, {"resourceArn": ..., "tagKeys": ["k"]}),
        ("arn:aws:cloudwatch:us-east-1:123456789012:alarm:a", {"ResourceARN": ..., "Tags": [{"Key": "k", "Value": "v"}]}, {"ResourceARN": ..., "TagKeys": ["k"]}),
        ("arn:aws:ecs:us-east-1:123456789012:cluster/a", {"resourceArn": ..., "tags": [{"key": "k", "value": "v"}]}, {"resourceArn": ..., "tagKeys": ["k"]}),
    ],
)  # fmt: skip
def test_each_service_is_told_tags_as_its_model_says(
    arn: str, tagged: dict[str, Any], untagged: dict[str, Any]
) -> None:
    service = arn.split(":")[2]
    gone = AwsError(service, "untag_resource", "ResourceNotFoundException", "", "")
    asked, transport = answering({}, {}, gone)
    run(transport, lambda aws: write_tags(aws, [arn], {"k": "v"}))
    run(transport, lambda aws: remove_tags(aws, [arn], ["k"]))
    run(transport, lambda aws: remove_tags(aws, [arn], ["k"]))
    wanted = [{key: arn if value is ... else value for key, value in part.items()} for part in (tagged, untagged)]
    assert [(operation, params) for _, operation, params in asked[:2]] == [
        ("tag_resource", wanted[0]),
        ("untag_resource", wanted[1]),
    ]


@pytest.mark.parametrize("arn", ["arn:aws:nowhere:us-east-1:123456789012:thing/a", "arn:aws:sts::123456789012:role/a"])
def test_what_has_no_tags_is_told(arn: str) -> None:
    with pytest.raises(ValueError, match="AWS has no operation TagResource of"):
        service_of(arn)


def test_what_a_model_doesnt_say_is_told() -> None:
    with pytest.raises(ValueError, match="CreateLogStream of logs has no tags"):
        shapes.tags_for("logs", "CreateLogStream", {})
    with pytest.raises(ValueError, match="DescribeLogGroup of logs"):
        shapes.list_of("logs", "DescribeLogGroup")
    with pytest.raises(ValueError, match="takes more than an ARN and tags: logGroupName, retentionInDays"):
        shapes.of_resource("logs", "PutRetentionPolicy", "arn")
    assert shapes.tags_from("ecs", "ListTagsForResource", {"tags": [{"key": "k", "value": "v"}]}) == {"k": "v"}
