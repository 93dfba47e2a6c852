"""What plain kinds have in common, tried on one that is made up here, of log groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from alb_reconcile.kinds import plain
from alb_reconcile.kinds.base import Intent
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.plain import PlainKind, PlainProperties
from alb_reconcile.kinds.reader import NO_STACK, Reader
from alb_reconcile.kinds.shared_reader import SharedReads
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired, Lifecycle, Observed
from tests.harness import by_hand, world
from tests.test_conformance import faults_of_calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alb_reconcile.aws.client import Aws
    from tests.harness import World

CALLS = {
    "name": ("CreateLogGroup", "logGroupName"),
    "retention_in_days": ("PutRetentionPolicy", "retentionInDays"),
    "kms_key_id": ("AssociateKmsKey", "kmsKeyId"),
}
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


@dataclass(frozen=True, kw_only=True)
class Group(PlainProperties):
    """A log group."""

    kind = "log_group"
    service = "logs"

    retention_in_days: int | None = None
    kms_key_id: str | None = None


class GroupKind(PlainKind[Group]):
    """Drives log groups."""

    properties = Group
    noun = "a log group"
    position = 99
    section = "log_groups"
    arn_type = "log-group"
    prefix = "logGroupNamePrefix"
    unset: ClassVar[Mapping[str, str]] = {
        "retention_in_days": "DeleteRetentionPolicy",
        "kms_key_id": "DisassociateKmsKey",
    }
    missing = ("ResourceNotFoundException",)
    taken = ("ResourceAlreadyExistsException",)


@pytest.fixture(autouse=True)
def _schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "calls_in_schema", lambda _: CALLS)
    monkeypatch.setattr(plain, "_services", lambda: ("logs",))


@pytest.fixture
def account() -> Iterator[World]:
    with world() as made:
        yield made


def wanted(name: str = "app", own: str | None = None, **properties: Any) -> Desired:
    state, address = Group(name=own, **properties), Address("log_group", name)
    return Desired(address, state, state, {"Name": f"demo-{name}"}, Lifecycle(), "digest")


def make(account: World, desired: Desired) -> str:
    state = desired.state
    assert isinstance(state, Group)
    found: str = account._run(lambda aws: GroupKind().create(Run(aws, "demo"), state, desired))
    return found


def find(account: World, *desired: Desired) -> list[Observed]:
    async def main(aws: Aws) -> list[Observed]:
        return await GroupKind().discover(Reader(aws, "demo", {item.address: item for item in desired}))

    found: list[Observed] = account._run(main)
    return found


def writes(account: World) -> list[str]:
    return [name for name, _ in account.log if not name.startswith(("describe_", "get_", "list_"))]


def change(account: World, found: Observed, *fields: str, **properties: Any) -> list[str]:
    state = Group(**properties)
    account._run(lambda aws: GroupKind().update(Run(aws, "demo"), state, found, frozenset(fields)))
    return writes(account)


def test_it_is_made_and_read_by_what_its_schema_says(account: World) -> None:
    desired = wanted(retention_in_days=30, kms_key_id=KEY)
    arn = make(account, desired)
    assert writes(account) == ["create_log_group", "put_retention_policy"], "what the first takes goes along"
    (found,) = find(account, desired)
    assert (found.id, found.address) == (arn, desired.address)
    assert found.state == Group(name="demo-app", retention_in_days=30, kms_key_id=KEY)


def test_only_what_changed_is_written_and_nothing_for_tags_alone(account: World) -> None:
    make(account, desired := wanted(retention_in_days=30, kms_key_id=KEY))
    (found,) = find(account, desired)
    assert change(account, found, "tags", "tags.team", retention_in_days=30) == []
    assert change(account, found, "retention_in_days", retention_in_days=7, kms_key_id=KEY) == ["put_retention_policy"]
    away = change(account, found, "retention_in_days", "kms_key_id", retention_in_days=0, kms_key_id="")
    assert away == ["delete_retention_policy", "disassociate_kms_key"]
    (found,) = find(account, desired)
    assert found.state == Group(name="demo-app", retention_in_days=0, kms_key_id="")


def test_nothing_is_asked_for_what_is_to_be_nothing(account: World) -> None:
    make(account, wanted(retention_in_days=0, kms_key_id=""))
    assert writes(account) == ["create_log_group"]


def test_a_new_one_is_found_by_its_name_and_one_without_an_entry_by_the_index(account: World) -> None:
    account.strict.lag = 60
    make(account, desired := wanted(own="/app"))
    make(account, wanted("web"))
    both = {Address("log_group", "app"), Address("log_group", "web")}
    assert {item.address for item in find(account, desired)} == both, "a derived name tells whose it may be"
    assert [item.id.rpartition(":")[2] for item in find(account)] == ["demo-web"]
    account.clock.advance(61)
    left = find(account)
    assert {item.address for item in left} == both
    for item in left:
        account._run(lambda aws, item=item: GroupKind().delete(Run(aws, "demo"), item))
    assert find(account) == [], "the index still has them"


def test_one_that_is_named_is_looked_at_whatever_its_tags(account: World) -> None:
    by_hand("logs").create_log_group(logGroupName="/theirs", tags={"team": "web"})
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:/theirs"
    seen: list[str] = []

    async def main(aws: Aws) -> None:
        reader = Reader(aws, "demo", {})
        reader.named = {arn, "vpc-0a1b2c3d4e5f60718"}
        reader.seen = lambda physical_id, *_, **__: seen.append(physical_id) or {}  # type: ignore[method-assign,func-returns-value]  # it only listens
        assert await GroupKind().discover(reader) == []

    account._run(main)
    assert seen == [arn]


def test_a_name_that_begins_like_derived_ones_is_another_stacks(account: World) -> None:
    async def make_theirs(aws: Aws) -> str:
        return await GroupKind().create(Run(aws, "demo-2"), Group(), wanted())

    account._run(make_theirs)
    assert find(account) == []


def test_names_of_others_are_refused_before_and_when_it_is_made(account: World) -> None:
    by_hand("logs").create_log_group(logGroupName="/theirs", tags={"team": "web"})
    desired = wanted(own="/theirs")
    assert find(account, desired) == []
    told = 'a log group named "/theirs" exists outside this stack; '
    intent = Intent(desired, desired.state, None, stack="demo")

    async def check(aws: Aws) -> list[str]:
        zones: Any = None
        return [item.text for item in await GroupKind().check_preconditions(aws, [intent], {}, zones)]

    (text,) = account._run(check)
    assert text.startswith(told)
    with pytest.raises(RefusedError, match=told):
        make(account, desired)


def test_what_an_earlier_call_made_is_taken(account: World) -> None:
    desired = wanted(retention_in_days=30)
    assert make(account, desired) == make(account, desired)
    assert len(find(account, desired)) == 1


def test_several_stacks_are_read_together_and_all_are_counted(account: World) -> None:
    make(account, wanted())

    async def main(aws: Aws) -> tuple[list[int], list[str]]:
        shared = SharedReads(aws, ["demo", *(f"other-{number}" for number in range(25))])
        found = [await shared.resources(["logs"], stack) for stack in ("demo", "other-1")]
        return [len(part) for part in found], await GroupKind().owners(Reader(aws, "", {}))

    assert account._run(main) == ([1, 0], ["demo"])
    assert [name for name, _ in account.log] == ["get_resources"] * 3, "20 stacks a call"


@pytest.mark.parametrize(
    ("calls", "more", "told"),
    [
        ({"retention_in_days": ("PutRetentoinPolicy", "retentionInDays")}, {}, "x-aws of retention_in_days: AWS has no operation PutRetentoinPolicy of logs"),
        ({"retention_in_days": ("PutRetentionPolicy", "retention")}, {}, "PutRetentionPolicy takes no retention"),
        ({}, {"unset": {"retention_in_days": "DeleteRetention"}}, "unset of retention_in_days: AWS has no operation DeleteRetention of logs"),
        ({}, {"unset": {"retention": "DeleteRetentionPolicy"}}, "unset: it has no retention"),
        ({}, {"prefix": "beginning"}, "prefix: DescribeLogGroups takes no beginning"),
        ({}, {"operations": {"Describe": "ListLogGroup"}}, "AWS has no operation ListLogGroup of logs"),
        ({"name": ("CreateLogStream", "logGroupName")}, {}, "CreateLogStream of logs has no tags"),
    ],
)  # fmt: skip
def test_a_typo_is_told(
    monkeypatch: pytest.MonkeyPatch, calls: dict[str, Any], more: dict[str, Any], told: str
) -> None:
    assert list(faults_of_calls(GroupKind())) == []
    monkeypatch.setattr(plain, "calls_in_schema", lambda _: CALLS | calls)
    kind: Any = type("Broken", (GroupKind,), more)()
    assert told in "\n".join(faults_of_calls(kind))


def test_a_property_without_a_call_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "calls_in_schema", lambda _: {"name": CALLS["name"]})
    (told,) = faults_of_calls(GroupKind())
    assert told.endswith("(x-aws) of kms_key_id, retention_in_days")


def test_what_has_left_the_spec_is_hinted_at_by_the_index_unless_the_spec_was_applied(
    account: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_hinted(stack: str = "demo") -> bool:
        found: bool = account._run(lambda aws: GroupKind().is_hinted(Reader(aws, stack, {})))
        return found

    assert not is_hinted()
    make(account, wanted())
    assert is_hinted()
    assert not is_hinted("demo-2")
    assert not is_hinted(NO_STACK)

    async def applied(_: Reader) -> bool:
        return True

    async def denied(_: Reader) -> bool:
        raise AwsError("ec2", "describe_subnets", "UnauthorizedOperation", "", "")

    monkeypatch.setattr(plain, "is_applied", applied)
    assert not is_hinted()
    monkeypatch.setattr(plain, "is_applied", denied)
    assert is_hinted(), "whether it was applied can't be read"


def test_what_no_operation_takes_away_is_only_what_aws_says(account: World) -> None:
    make(account, desired := wanted())
    kind: Any = type("Kept", (GroupKind,), {"unset": {}})()
    (found,) = account._run(lambda aws: kind.discover(Reader(aws, "demo", {desired.address: desired})))
    assert found.state == Group(name="demo-app")


def test_a_policy_names_what_the_spec_has_and_reads_the_tags_of_derived_names() -> None:
    desired = {item.address: item for item in (wanted(), wanted("web", own="/web"))}
    scope = Scope("demo", "eu-west-1", "1", desired, ("demo",))
    kind: Any = type("Ended", (GroupKind,), {"arn_ends": ("", ":*")})()
    start = "arn:aws:logs:eu-west-1:1:log-group:"
    lists, own, read = kind.grants(Group(), scope)
    assert lists.actions == ("tag:GetResources", "logs:DescribeLogGroups")
    assert own.resources == (f"{start}demo-app", f"{start}demo-app:*", f"{start}/web", f"{start}/web:*")
    assert {"logs:CreateLogGroup", "logs:DeleteRetentionPolicy", "logs:ListTagsForResource"} <= {*own.actions}
    assert read == Grant(("logs:ListTagsForResource",), (f"{start}demo-*", f"{start}demo-*:*"))


@dataclass(frozen=True, kw_only=True)
class Alarm(PlainProperties):
    """An alarm, all of which one operation sets."""

    kind = "alarm"
    service = "cloudwatch"

    threshold: int | None = None
    period: int | None = None


class AlarmKind(PlainKind[Alarm]):
    """Drives alarms."""

    properties = Alarm
    arn_type = "alarm"


def test_what_one_operation_sets_is_told_whole(account: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"name": "AlarmName", "threshold": "Threshold", "period": "Period"}
    calls = {field: ("PutMetricAlarm", name) for field, name in names.items()}
    monkeypatch.setattr(plain, "calls_in_schema", lambda _: calls)
    address = Address("alarm", "high")
    found = Observed(address, "arn:aws:cloudwatch:us-east-1:1:alarm:high", Alarm(threshold=1, period=60), {}, "demo")
    asked: list[Any] = []

    def call(*asking: Any) -> dict[str, Any]:
        asked.append(asking)
        return {}

    monkeypatch.setattr(account, "_call", call)
    change = frozenset({"threshold"})
    account._run(lambda aws: AlarmKind().update(Run(aws, "demo"), Alarm(threshold=2), found, change))
    told = {"AlarmName": "high", "Threshold": 2, "Period": 60}
    assert asked == [("cloudwatch", "put_metric_alarm", told)]
