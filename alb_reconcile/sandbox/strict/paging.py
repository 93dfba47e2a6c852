"""Pages lists: AWS returns every list in pages, of the size asked for or smaller."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import Any

from .rule import Call, refuse

ELB_DEFAULT = 400
EVERYTHING = 1_000_000  # moto's own page size is 50
EC2_LEAST, EC2_MOST = 5, 1000
# AWS EC2: 'You cannot specify this parameter and the … IDs in the same request.'
IDS_EXCLUDE_PAGING = {
    "DescribeInstances": "InstanceIds",
    "DescribeNetworkInterfaces": "NetworkInterfaceIds",
    "DescribeVolumes": "VolumeIds",
}


@dataclass(frozen=True)
class Plan:
    """The paging parameters of an action, from botocore's model."""

    result: str
    token_in: str
    token_out: str
    limit: str


@cache
def plan_of(service: str, action: str) -> Plan | None:
    from moto.core.utils import get_pagination_model

    config = get_pagination_model(service).get(action)
    if not config or not isinstance(config.get("result_key"), str):
        return None
    limit = "PageSize" if service == "elbv2" else "MaxResults"
    return Plan(config["result_key"], config["input_token"], config["output_token"], limit)


class Pager:
    """Divides lists into pages. A token stands for the rest of the list from which the first page was taken."""

    def __init__(self, most_remembered: int = 500) -> None:
        self._left: OrderedDict[str, tuple[str, list[Any]]] = OrderedDict()
        self._most_remembered = most_remembered

    def asked(self, service: str, call: Call) -> tuple[str | None, int | None] | None:
        """Remove the paging parameters from a request, so that moto answers with the whole list. Returns token and limit; None for an
        action without pages."""
        plan = plan_of(service, call.action)
        if plan is None:
            return None
        token, limit = call.params.pop(plan.token_in, None), call.params.pop(plan.limit, None)
        if service == "ec2" and limit is not None:
            check_limit(call, int(limit))
        if service == "elbv2":
            call.params[plan.limit] = EVERYTHING
        return token, None if limit is None else int(limit)

    def page(
        self, service: str, call: Call, asked: tuple[str | None, int | None], result: Any, most: int | None
    ) -> Any:
        plan = plan_of(service, call.action)
        if plan is None:
            return result
        token, limit = asked
        items = list(result.get(plan.result) or []) if token is None else self._resume(service, call.action, token)
        sizes = [size for size in (limit, ELB_DEFAULT if service == "elbv2" else None) if size]
        if most and not asks_by_id(call):
            sizes.append(most)
        size = min(sizes, default=len(items)) or len(items)
        more = None
        if len(items) > size:
            more = secrets.token_urlsafe(24)
            self._left[more] = (call.action, items[size:])
            while len(self._left) > self._most_remembered:
                self._left.popitem(last=False)
        return {**result, plan.result: items[:size], plan.token_out: more}

    def _resume(self, service: str, action: str, token: str) -> list[Any]:
        known, items = self._left.get(token, ("", []))
        if known != action:
            if service == "elbv2":
                refuse("ValidationError", f"Invalid marker '{token}'")
            refuse("InvalidNextToken", "The token is not valid.")
        return items


def check_limit(call: Call, limit: int) -> None:
    most = 100 if call.action == "DescribeRouteTables" else EC2_MOST
    if not EC2_LEAST <= limit <= most:
        bound = f"greater than {EC2_LEAST}" if limit < EC2_LEAST else f"less than {most}"
        refuse(
            "InvalidParameterValue",
            f"Value ( {limit} ) for parameter maxResults is invalid. Expecting a value {bound}.",
        )
    ids = IDS_EXCLUDE_PAGING.get(call.action)
    if ids and call.given(ids):
        refuse("InvalidParameterCombination", f"The parameter {ids} cannot be used with the parameter maxResults")


def asks_by_id(call: Call) -> bool:
    """Whether a request names its resources: AWS answers it in one page."""
    return any(name.endswith(("Ids", "Arns", "Names")) and value for name, value in call.params.items())
