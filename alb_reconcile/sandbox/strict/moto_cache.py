"""Caches constant values that moto calculates again for each answer: making answers is most of moto's work."""

import functools
from collections.abc import Iterator
from typing import Any

import moto.core.responses
from moto.core.serialize import AttributePicker, AttributePickerContext, XFormedAttributePicker
from moto.core.utils import camelcase_to_underscores, method_names_from_class
from moto.ec2.models.instance_types import InstanceTypeOfferingBackend

method_of = functools.cache(camelcase_to_underscores)
"""The name of moto's method for an action."""
_method_names = functools.cache(method_names_from_class)


def _remembering(original: Any) -> Any:
    known: dict[Any, tuple[str, ...]] = {}

    @functools.wraps(original)
    def get_possible_keys(picker: Any, context: AttributePickerContext) -> Iterator[str]:
        """The names under which a value may be found, cached by the object's class, the key and the shape."""
        question = (*picker.alias_providers, type(context.obj), context.key, context.shape)
        if question not in known:
            known[question] = tuple(dict.fromkeys(original(picker, context)))
        return iter(known[question])

    return get_possible_keys


def _is_offered(self: Any, offering: dict[str, Any], filters: Any, location_type: str) -> bool:
    """Whether an offering matches the filters: a faster way if the instance type is the only filter, as at each launch."""
    if filters.keys() == {"instance-type"}:
        return offering["InstanceType"] in filters["instance-type"]
    return bool(_matches_filters(self, offering, filters, location_type))


_matches_filters = InstanceTypeOfferingBackend.matches_filters
_patches = [
    (InstanceTypeOfferingBackend, "matches_filters", _is_offered),
    (moto.core.responses, "camelcase_to_underscores", method_of),
    (moto.core.responses, "method_names_from_class", _method_names),
    *(
        (kind, "get_possible_keys", _remembering(kind.get_possible_keys))
        for kind in (AttributePicker, XFormedAttributePicker)
    ),
]


def patches() -> list[tuple[Any, str, Any]]:
    return _patches
