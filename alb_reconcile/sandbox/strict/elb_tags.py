"""Imitates AWS's rules for ELBv2 tags."""

from collections.abc import Callable
from typing import Any
from unicodedata import category

from .references import not_found
from .rule import Call, around, before, refuse

MOST_ARNS, MOST_TAGS = 20, 50


def taggable(call: Call) -> set[str]:
    world = call.world
    parts = [*world.listeners(), *world.rules()]
    return {
        *world.elb.load_balancers,
        *world.elb.target_groups,
        *world.ledger.trust_stores,
        *(part.arn for part in parts),
    }


@before("DescribeTags", "AddTags", "RemoveTags")
def tagged_things_exist(call: Call) -> None:
    """DescribeTags: at most 20 ARNs; the call fails as a whole if a resource is gone (LoadBalancerNotFound, …)."""
    arns = call.given("ResourceArns", [])
    if len(arns) > MOST_ARNS:
        refuse("ValidationError", f"You cannot specify more than {MOST_ARNS} resource ARNs")
    known = taggable(call)
    for arn in arns:
        if arn not in known:
            refuse(*not_found(arn))


@around("AddTags")
def fifty_tags_a_resource(call: Call, _: Callable[[], Any]) -> Any:
    """AddTags: TooManyTags beyond 50 (moto: 10)."""
    service = call.world.elb.tagging_service
    tags = call.given("Tags", [])
    for arn in call.given("ResourceArns", []):
        held = service.get_tag_dict_for_resource(arn)
        if len(held | {tag["Key"]: "" for tag in tags}) > MOST_TAGS:
            refuse("TooManyTags", "The quota for the number of tags of a resource has been reached")
    for arn in call.given("ResourceArns", []):
        service.tag_resource(arn, tags)
    return None


@around("RemoveTags")
def tags_of_everything_are_removed(call: Call, _: Callable[[], Any]) -> Any:
    """RemoveTags: also for trust stores, which moto doesn't know."""
    for arn in call.given("ResourceArns", []):
        call.world.elb.tagging_service.untag_resource_using_names(arn, call.given("TagKeys", []))
    return None


@before("CreateLoadBalancer", "CreateTargetGroup", "CreateListener", "CreateRule", "CreateTrustStore", "AddTags")
def tags_are_well_formed(call: Call) -> None:
    """CreateLoadBalancer, AddTags: DuplicateTagKeys; TooManyTags; keys may not begin with aws:, in whatever case; keys
    and values are of letters, spaces and digits of any language and _.:/=+-@ (botocore's TagKey and TagValue)."""
    tags = call.given("Tags", [])
    names = [tag.get("Key", "") for tag in tags]
    if len(set(names)) < len(names):
        refuse("DuplicateTagKeys", "Tag keys cannot be specified more than once")
    if len(names) > MOST_TAGS:
        refuse("TooManyTags", "The quota for the number of tags of a resource has been reached")
    if any(name.lower().startswith("aws:") for name in names):
        refuse("ValidationError", "Tag keys starting with 'aws:' are reserved for internal use")
    for tag in tags:
        for part, text in tag.items():
            if not all(category(letter)[0] in "LZN" or letter in "_.:/=+-@" for letter in text):
                refuse("ValidationError", f"Tag {part.lower()} '{text}' contains a character that is not valid")
