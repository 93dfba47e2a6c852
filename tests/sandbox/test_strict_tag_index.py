"""The index of tags, and log groups, which are in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import client, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws, VirtualClock

STACK = {"Key": "stack", "Values": ["demo"]}


def index(*filters: dict[str, Any], **more: Any) -> list[str]:
    """The names of the log groups that it has."""
    found: list[str] = []
    token = ""
    while True:
        answer = client("resourcegroupstaggingapi").get_resources(
            TagFilters=list(filters or (STACK,)), ResourceTypeFilters=["logs"], PaginationToken=token, **more
        )
        found += [row["ResourceARN"].rpartition(":")[2] for row in answer["ResourceTagMappingList"]]
        token = answer["PaginationToken"]
        if not token:
            return found


def make(*names: str, stack: str = "demo") -> None:
    for name in names:
        client("logs").create_log_group(logGroupName=name, tags={"stack": stack})


def test_it_has_what_carries_the_tags_in_pages(aws: StrictAws) -> None:
    make("a", "b", "c")
    make("d", stack="other")
    client("logs").create_log_group(logGroupName="e")
    assert index() == ["a", "b", "c"]
    assert index({"Key": "stack"}) == ["a", "b", "c", "d"]
    aws.page_size = 2
    assert index() == ["a", "b", "c"]
    refuses("InvalidParameterException", index, {"Key": "stack", "Values": [str(number) for number in range(21)]})
    refuses("InvalidParameterException", index, ResourcesPerPage=101)


def test_it_is_told_late_of_what_is_made_tagged_and_deleted(aws: StrictAws, clock: VirtualClock) -> None:
    aws.lag = 30
    make("a")
    assert index() == []
    clock.advance(31)
    assert index() == ["a"]
    arn = client("logs").describe_log_groups()["logGroups"][0]["logGroupArn"]
    client("logs").tag_resource(resourceArn=arn, tags={"stack": "other"})
    assert index() == ["a"]
    clock.advance(31)
    assert index() == []
    assert index({"Key": "stack"}) == ["a"]
    client("logs").delete_log_group(logGroupName="a")
    assert index({"Key": "stack"}) == ["a"]
    clock.advance(31)
    assert index({"Key": "stack"}) == []


@pytest.mark.usefixtures("aws")
def test_the_tags_and_the_key_of_a_log_group() -> None:
    logs = client("logs")
    missing: dict[str, Any] = {"logGroupName": "a"}
    key = {"kmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/1"}
    for call in (logs.disassociate_kms_key, lambda **given: logs.associate_kms_key(**key, **given)):
        refuses("ResourceNotFoundException", call, **missing)
    make("a")
    arn = logs.describe_log_groups()["logGroups"][0]["logGroupArn"]
    logs.associate_kms_key(**missing, **key)
    assert logs.describe_log_groups()["logGroups"][0]["kmsKeyId"] == key["kmsKeyId"]
    logs.disassociate_kms_key(**missing)
    assert "kmsKeyId" not in logs.describe_log_groups()["logGroups"][0]
    logs.delete_log_group(**missing)
    refuses("ResourceNotFoundException", logs.list_tags_for_resource, resourceArn=arn)
    refuses("ResourceNotFoundException", logs.tag_resource, resourceArn=arn, tags={"a": "b"})
    logs.create_log_group(**missing)
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {}
