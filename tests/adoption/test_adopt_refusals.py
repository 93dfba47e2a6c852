"""What adopt doesn't take, and says so: the ambiguous, what is another stack's, what isn't there; and bystanders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.engine.stack import Options, plan_stack
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, RefusedError, UsageError
from tests.adoption.adopting import (
    RUNBOOK_NAMES,
    build_runbook,
    by_address,
    our_tags,
    planned,
    runbook,
    target_of,
)
from tests.harness import READS

if TYPE_CHECKING:
    from tests.adoption.adopting import Keeper
    from tests.harness import Spec, World
    from tests.properties.watched import WatchedWorld


def _network(**entries: Any) -> Spec:
    """A small spec: a VPC, and what else is given by section."""
    return {
        "stack": "demo", "region": "us-east-1", "vpcs": {"main": {"cidr_block": "10.3.0.0/16"}}, **entries,
    }  # fmt: skip


SUBNETS = {"subnets": {"a": {"cidr_block": "10.3.1.0/24", "availability_zone": "a"}}}


def _vpc(world: World, *, name: str = "", stack: str = "", cidr: str = "10.3.0.0/16") -> str:
    ec2 = world.client("ec2")
    vpc: str = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    found = {"Name": name, tags.STACK: stack, tags.ADDRESS: "vpc.main" if stack else ""}
    listed = [{"Key": key, "Value": value} for key, value in found.items() if value]
    if listed:
        ec2.create_tags(Resources=[vpc], Tags=listed)
    return vpc


def _subnet(world: World, vpc: str, cidr: str = "10.3.1.0/24", name: str = "") -> str:
    ec2 = world.client("ec2")
    subnet: str = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]
    if name:
        ec2.create_tags(Resources=[subnet], Tags=[{"Key": "Name", "Value": name}])
    return subnet


def _refused(world: World, keep: Keeper, spec: Spec, *choices: str) -> str:
    """The text of a refusal, after which nothing is written."""
    before = world.strict.inventory()
    with pytest.raises(RefusedError) as caught:
        keep.adopt(spec, *choices)
    assert world.strict.inventory() == before
    return str(caught.value)


def test_two_candidates_are_refused_with_both_and_how_to_choose(world: WatchedWorld, keep: Keeper) -> None:
    first, second = _vpc(world), _vpc(world)
    text = _refused(world, keep, _network())
    assert first in text
    assert second in text
    assert "vpc.main=ID" in text
    found = keep.adopt(_network(), "vpc.main=new")
    assert (found.matches, [str(address) for address in found.missing]) == ((), ["vpc.main"])
    assert by_address(keep.adopt(_network(), f"vpc.main={second}")) == {"vpc.main": second}
    assert set(our_tags(world)) == {second}


def test_name_against_range_is_refused(world: WatchedWorld, keep: Keeper) -> None:
    """Names that were swapped would have apply replace what serves."""
    vpc = _vpc(world)
    by_range = _subnet(world, vpc)
    by_name = _subnet(world, vpc, "10.3.2.0/24", "demo-a")
    text = _refused(world, keep, _network(**SUBNETS))
    assert by_range in text
    assert by_name in text


def test_what_carries_another_stacks_tags_is_refused_by_name_and_by_id(world: WatchedWorld, keep: Keeper) -> None:
    """What a tag says never reaches the terminal as it is."""
    theirs = _vpc(world, name="demo-main", stack="\u202eother")
    for choices in ([], [f"vpc.main={theirs}"]):
        text = _refused(world, keep, _network(), *choices)
        assert "belongs to the stack \\u202eother" in text
        assert "\u202e" not in text


def test_another_stack_with_the_same_range_is_no_candidate(world: WatchedWorld, keep: Keeper) -> None:
    _vpc(world, name="other-main", stack="other")
    found = keep.adopt(_network())
    assert [str(address) for address in found.missing] == ["vpc.main"]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("vpc.main=vpc-0123456789abcdef0", "doesn't exist in us-east-1, account 123456789012"),
        ("vpc.main=subnet-0123456789abcdef0", "not a valid vpc id"),
        ("subnet.a={far}", "is in {elsewhere}, not in {vpc}"),
    ],
)
def test_an_id_that_is_nowhere_or_of_something_else_is_refused(
    world: WatchedWorld, keep: Keeper, choice: str, words: str
) -> None:
    vpc, elsewhere = _vpc(world), _vpc(world, cidr="10.4.0.0/16")
    known = {"vpc": vpc, "elsewhere": elsewhere, "far": _subnet(world, elsewhere, "10.4.1.0/24")}
    text = _refused(world, keep, _network(**SUBNETS), choice.format(**known))
    assert words.format(**known) in text


def test_a_child_of_a_vpc_that_nobody_named_says_what_to_name(world: WatchedWorld, keep: Keeper) -> None:
    subnet = _subnet(world, _vpc(world, cidr="10.3.0.0/17"))
    assert "give its id too" in _refused(world, keep, _network(**SUBNETS), f"subnet.a={subnet}")


def test_one_that_the_stack_has_already_isnt_exchanged(world: WatchedWorld, keep: Keeper) -> None:
    first = _vpc(world)
    keep.adopt(_network())
    second = _vpc(world)
    assert f"is already {first}" in _refused(world, keep, _network(), f"vpc.main={second}")
    assert not keep.adopt(_network(), f"vpc.main={first}").taggings


def test_a_vpc_that_was_taken_by_mistake_goes_with_all_that_is_in_it(world: WatchedWorld, keep: Keeper) -> None:
    wrong, right = _vpc(world), _vpc(world)
    subnets = {vpc: _subnet(world, vpc) for vpc in (wrong, right)}
    spec = _network(**SUBNETS)
    keep.adopt(spec, f"vpc.main={wrong}")
    whole = "holds the stack's subnet.a; forget the whole stack first: alb-reconcile forget spec.yaml"
    text = _refused(world, keep, spec, f"vpc.main={right}")
    assert f"vpc.main={right}: vpc.main is already {wrong}; {wrong} {whole}" in text
    keep.forget(spec, "vpc.main")
    for choices in ([f"vpc.main={right}"], [f"vpc.main={right}", f"subnet.a={subnets[right]}"]):
        text = _refused(world, keep, spec, *choices)
        assert f"vpc.main can't be {right}: {wrong} {whole}" in text
    keep.adopt(spec, f"vpc.main={wrong}")
    keep.forget(spec)
    assert by_address(keep.adopt(spec, f"vpc.main={right}")) == {"vpc.main": right, "subnet.a": subnets[right]}
    assert world.plan(spec).is_empty


def test_a_vpc_is_adopted_for_what_is_to_move_there(world: WatchedWorld, keep: Keeper) -> None:
    spec = _network(**SUBNETS)
    keep.adopt(spec, f"vpc.main={_vpc(world)}")
    world.converge(spec)
    spec["vpcs"]["next"] = {"cidr_block": "10.3.0.0/16"}
    spec["subnets"]["a"]["vpc"] = "next"
    assert len(keep.adopt(spec, f"vpc.next={_vpc(world)}").matches) == 1


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("vpc.main", "has no id"),
        ("vpc.main=main", "'main' is no id of AWS's; write a VPC's id (vpc-…) after vpc.main=, or vpc.main=new"),
        ("vpc.mainx=vpc-1", "declares no 'vpc.mainx'; did you mean vpc.main?"),
        ("vpc.man=vpc-0123456789abcdef0", "did you mean vpc.main"),
        ("registration.web/web-1:80=i-0123456789abcdef0", "declares no"),
    ],
)
def test_a_choice_that_says_nothing_is_a_mistake_of_usage(keep: Keeper, choice: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        keep.look(_network(), choice)


def test_what_aws_made_itself_is_never_taken_unasked(world: WatchedWorld, keep: Keeper) -> None:
    """The default VPC with its subnets, main route tables and default groups fit, and are passed over."""
    ec2 = world.client("ec2")
    default = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
    spec = _network(
        route_tables={"main": {"routes": []}},
        security_groups={"main": {"description": "default VPC security group", "ingress": []}},
    )
    spec["vpcs"]["main"]["cidr_block"] = default["CidrBlock"]
    subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1a"]}])["Subnets"][0]
    spec["subnets"] = {"a": {"cidr_block": subnet["CidrBlock"], "availability_zone": "a"}}
    assert not keep.adopt(spec).matches
    found = keep.adopt(spec, f"vpc.main={default['VpcId']}")
    assert set(by_address(found)) == {"vpc.main"}
    assert "default VPC" in found.matches[0].how


def test_a_resource_without_room_for_more_tags_is_refused(world: WatchedWorld, keep: Keeper) -> None:
    vpc = _vpc(world)
    listed = [{"Key": f"own-{number}", "Value": "x"} for number in range(49)]
    world.client("ec2").create_tags(Resources=[vpc], Tags=listed)
    assert "AWS allows 50" in _refused(world, keep, _network())


def _two_groups(world: World, vpc: str, *names: str) -> list[str]:
    ec2 = world.client("ec2")
    return [ec2.create_security_group(GroupName=name, Description="HTTP", VpcId=vpc)["GroupId"] for name in names]


def test_security_groups_are_told_apart_by_their_rules(world: WatchedWorld, keep: Keeper) -> None:
    vpc = _vpc(world)
    first, second = _two_groups(world, vpc, "one", "two")
    world.client("ec2").authorize_security_group_ingress(
        GroupId=second, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0"
    )
    rule = {"protocol": "tcp", "port": 80, "cidr_block": "0.0.0.0/0"}
    group = {"description": "HTTP", "ingress": [rule]}
    assert by_address(keep.adopt(_network(security_groups={"web": group})))["security_group.web"] == second
    assert first not in our_tags(world)


def test_one_group_that_two_entries_describe_is_refused(world: WatchedWorld, keep: Keeper) -> None:
    vpc = _vpc(world)
    _two_groups(world, vpc, "one")
    group = {"description": "HTTP", "ingress": []}
    text = _refused(world, keep, _network(security_groups={"a": group, "b": group}))
    assert "security_group.b as well" in text


def test_bystanders_stay_and_a_stale_image_is_a_replacement(world: WatchedWorld, keep: Keeper) -> None:
    """A second stack of the same shape, ranges and all, and one of another stack, stand beside it."""
    ids = build_runbook(world, RUNBOOK_NAMES)
    other = _vpc(world, cidr="10.10.0.0/16", name="theirs")
    _subnet(world, other, "10.10.0.0/24", "alb-subnet-1")
    _vpc(world, cidr="10.10.0.0/16", name="alb-vpc", stack="theirs")
    world.client("elbv2").create_target_group(Name="alb-target-group-2", Protocol="HTTP", Port=80, VpcId=other)
    spec = runbook()
    spec["instances"]["web-a"]["image_id"] = "ami-12c6146b"
    before = world.strict.inventory()
    found = keep.adopt(spec)
    assert by_address(found) == ids
    after = world.strict.inventory()
    changed = {key for key in before if before[key] != after[key]}
    volumes = {key for key in changed if key.startswith("vol-")}
    assert changed - volumes == set(ids.values())
    assert len(volumes) == 2
    replaced = {str(step.address): step for step in planned(found).steps if step.action == "replace"}
    assert "image_id" in [item.path for item in replaced["instance.web-a-1"].changes]


def test_images_that_the_reference_has_left_behind_are_kept_on_request(world: WatchedWorld, keep: Keeper) -> None:
    ids = build_runbook(world, RUNBOOK_NAMES)
    spec = runbook()
    reference = "resolve:ssm:/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"
    for entry in spec["instances"].values():
        entry["image_id"] = reference
    assert planned(keep.look(spec)).count()["replace"] == 4, "both instances, and their registrations"
    assert planned(keep.adopt(spec, keep_images=True)).count()["replace"] == 0
    assert our_tags(world)[ids["instance.web-a-1"]][tags.IMAGE] == reference


@pytest.mark.slow
def test_an_interrupted_adoption_is_finished_by_the_next(world: WatchedWorld, keep: Keeper) -> None:
    ids = build_runbook(world, RUNBOOK_NAMES)
    found = keep.look(runbook())
    with _failing_after(world, 8), pytest.raises(AwsError):
        keep.write(found.taggings)
    owned = our_tags(world)
    assert not _losses(keep), "half-way there, apply takes nothing for a stranger's"
    again = keep.adopt(runbook())
    assert len(again.held) == sum(key in ids.values() for key in owned)
    assert len(again.held) + len(again.matches) == len(ids)
    assert world.plan(runbook()).is_empty


def _losses(keep: Keeper) -> list[str]:
    """What an apply would delete or replace now, if nothing were too much."""
    target = target_of(runbook())
    try:
        plan = keep.world._run(lambda aws: plan_stack(aws, target, Options(check=False))).plan
    except RefusedError:  # a name is taken, by what isn't adopted yet
        return []
    return [step.key for step in plan.steps if step.action in ("delete", "replace")]


class _failing_after:  # noqa: N801  # used as a context manager, like those of the standard library
    """Every call that changes something fails after so many."""

    def __init__(self, world: World, count: int) -> None:
        self.world, self.left, self.call = world, count, world._call

    def __enter__(self) -> None:
        self.world._call = self  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self.world._call = self.call  # type: ignore[method-assign]

    def __call__(self, service: str, operation: str, params: Any) -> Any:
        if not operation.startswith(READS):
            self.left -= 1
            if self.left < 0:
                raise AwsError(service, operation, "UnauthorizedOperation", "not allowed", "")
        return self.call(service, operation, params)
