"""Answers DescribeParameters as SSM does: on a best-effort basis, in pages that may be empty."""

import functools
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ssm.responses import SimpleSystemManagerResponse


def by_pages(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make the first page empty except for a token: "The number of items returned, however, can be between zero and the value of
    MaxResults" (SSM API Reference, DescribeParameters)."""

    @functools.wraps(original)
    def describe_parameters(response: Any) -> Any:
        if response._get_param("NextToken") is None:
            return ActionResult({"Parameters": [], "NextToken": "0"})
        return original(response)

    return describe_parameters


def patches() -> list[tuple[Any, str, Any]]:
    own = SimpleSystemManagerResponse
    return [(own, "describe_parameters", by_pages(own.describe_parameters))]
