"""Imitates GetResources of the Resource Groups Tagging API, which shows changes late (moto shows them at once).

Resource Groups Tagging API Reference, GetResources: "Returns all the tagged or previously tagged resources", 100 a page at most, until
PaginationToken is empty; 20 values of a key in TagFilters. Here it is behind by as much as other reads are, and so it has what was deleted
a moment ago, too.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

from moto.core.resource_tagging import iter_taggable_backends, make_tag_matcher, match_resource_type
from moto.core.responses import ActionResult
from moto.resourcegroupstaggingapi.exceptions import ResourceGroupsTaggingAPIError
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse
from moto.utilities.tagging_service import TaggingService

from .world import World

_MOST: Final = 100
_MOST_VALUES: Final = 20
_CHANGES: Final = ("tag_resource", "untag_resource_using_names", "delete_all_tags_for_resource")
"""The methods that change tags in moto's tag store, which some of its services use."""


def patches(
    clock: Callable[[], float], lag: Callable[[], float], page_size: Callable[[], int | None]
) -> list[tuple[Any, str, Any]]:
    def noting(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def change(store: Any, arn: str, *given: Any, **named: Any) -> Any:
            place = arn.split(":")[3:5]
            if lag() > 0 and all(place):
                tagged, before = World(place[1], place[0]).ledger.tagged, store.get_tag_dict_for_resource(arn)
                held = [entry for entry in tagged.get(arn, ()) if entry[0] > clock() - lag()]
                tagged[arn] = [*held, (clock(), before)]
            return original(store, arn, *given, **named)

        return change

    def get_resources(response: Any) -> ActionResult:
        """GetResources: InvalidParameterException for more values than a filter takes, and for pages that are too long."""
        filters = response._get_param("TagFilters", [])
        if any(len(item.get("Values", ())) > _MOST_VALUES for item in filters):
            raise ResourceGroupsTaggingAPIError("InvalidParameterException", "A filter takes 20 values at most.")
        most = int(response._get_param("ResourcesPerPage") or _MOST)
        if not 1 <= most <= _MOST:
            raise ResourceGroupsTaggingAPIError("InvalidParameterException", "ResourcesPerPage is from 1 to 100.")
        world, types = World(response.current_account, response.region), response._get_param("ResourceTypeFilters", [])
        fits, seen = make_tag_matcher(filters), _seen(world, clock() - lag())
        found = [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in sorted(own.items())]}
            for arn, (kind, own) in sorted(seen.items())
            if match_resource_type(kind, types) and fits(own)
        ]
        most = min(most, page_size() or most)
        first = int(response._get_param("PaginationToken") or 0)
        token = str(first + most) if len(found) > first + most else ""
        return ActionResult({"ResourceTagMappingList": found[first : first + most], "PaginationToken": token})

    changes: list[tuple[Any, str, Any]] = [
        (TaggingService, name, noting(getattr(TaggingService, name))) for name in _CHANGES
    ]
    return [*changes, (ResourceGroupsTaggingAPIResponse, "get_resources", get_resources)]


def _seen(world: World, at: float) -> dict[str, tuple[str, dict[str, str]]]:
    """The tagged resources at that time, by ARN, each with its type and tags."""
    present = {
        item.arn: (item.resource_type, item.tags)
        for backend in iter_taggable_backends(world.account, world.region)
        for item in backend.iter_tagged_resources()
    }
    found = {}
    for arn in {*present, *world.ledger.tagged}:
        kind, own = present.get(arn, (arn.split(":")[2], {}))
        own = next((before for until, before in world.ledger.tagged.get(arn, ()) if until > at), own)
        if own:
            found[arn] = kind, own
    return found
