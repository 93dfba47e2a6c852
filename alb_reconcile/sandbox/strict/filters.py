"""Refuses filters that AWS or the emulator doesn't know with a clear error, where moto breaks or ignores them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

from .rule import Call, refuse

MOST_VALUES = 200
_ALSO_TAKEN = {"DescribeVpcs": {"cidr-block"}}
"""Filters that AWS takes without documenting them: Ansible's amazon.aws.ec2_vpc_net uses one."""


@cache
def documented(service: str, action: str) -> frozenset[str]:
    """The filters that AWS documents for an action, read from botocore's copy of the documentation."""
    from moto.core.utils import get_service_model

    shape = get_service_model(service).operation_model(action).input_shape
    members = shape.members if shape is not None else {}
    member = members.get("Filters") or members.get("Filter")
    return frozenset(re.findall(r"<code>([^<]+)</code>", member.documentation)) if member else frozenset()


def _given(call: Call) -> list[Any]:
    """The filters of a request; DescribeNatGateways calls them `Filter`."""
    return [*call.given("Filters", []), *call.given("Filter", [])]


def check_names(service: str, call: Call) -> None:
    """Check a request's filters. InvalidParameterValue: 'The filter 'x' is invalid'. FilterLimitExceeded: 'too many filters or too many
    filter values'; Amazon EC2 User Guide, 'List and filter using the CLI and API': 200 values in a request."""
    if sum(len(item.get("Values") or ()) for item in _given(call)) > MOST_VALUES:
        refuse("FilterLimitExceeded", f"The maximum number of filter values on a single call is {MOST_VALUES}")
    for item in _given(call):
        name = str(item.get("Name"))
        known = documented(service, call.action) | _ALSO_TAKEN.get(call.action, set())
        if not (name in known or name.startswith("tag:") or name == "tag-key"):
            refuse("InvalidParameterValue", f"The filter '{name}' is invalid")


@contextmanager
def clear_refusal(call: Call) -> Iterator[None]:
    """Convert moto's failure for an unsupported filter to an error that names the filters."""
    try:
        yield
    except (NotImplementedError, KeyError) as error:
        if not _given(call):
            raise
        _refuse_unsupported(call, error)


def _refuse_unsupported(call: Call, error: Exception) -> NoReturn:
    names = ", ".join(sorted(str(item.get("Name")) for item in _given(call)))
    refuse("InvalidParameterValue", f"The sandbox doesn't support a filter of {call.action} among: {names} ({error})")
