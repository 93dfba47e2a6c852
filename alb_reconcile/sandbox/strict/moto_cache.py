"""Caches constant values that moto calculates again for each answer: making answers is most of moto's work."""

import functools
from collections.abc import Iterator
from typing import Any

import moto.core.responses
from moto.core.serialize import AttributePicker, AttributePickerContext, XFormedAttributePicker
from moto.core.utils import camelcase_to_underscores, method_names_from_class
from moto.ec2.models.instance_types import InstanceTypeOfferingBackend

method_of = functools.cache(camelcase_to_underscores)
"""The name of the method that answers an action."""
_method_names = functools.cache(method_names_from_class)


def _remembering(original: Any) -> Any:
    known: dict[Any, tuple[str, ...]] = {}

    @functools.wraps(original)
    def get_possible_keys(picker: Any, context: AttributePickerContext) -> Iterator[str]:
        """By which names a value may be found: the object's class, the key and the shape decide."""
        question = (*picker.alias_providers, type(context.obj), context.key, context.shape)
        if question not in known:
            known[question] = tuple(dict.fromkeys(original(picker, context)))
        return iter(known[question])

    return get_possible_keys


def _is_offered(self: Any, offering: dict[str, Any], filters: Any, location_type: str) -> bool:
    """One that is asked for by its type alone, as each launch does of all that there are."""
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
