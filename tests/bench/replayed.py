"""A plan of a thousand instances from AWS's answers for two: `python -m tests.bench.replayed SMALL_SPEC LARGE_SPEC`.

moto takes minutes to make a thousand instances. So the answers about the small stack, which is there, are read once
and kept; in those about instances and targets each member is repeated as the large spec names it. The plan of the
large spec from these answers must be empty. Prints the calls that it made, as JSON.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.transport import BotoTransport, Response
from alb_reconcile.engine.stack import plan_stack
from alb_reconcile.kinds._instances import token_stem
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.model import tags
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.spec.stack import Stack, load_stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.model.plan import Plan


class Replay:
    """A transport that asks once and answers for the large stack."""

    def __init__(self, transport: BotoTransport, stack: Stack) -> None:
        self._ask = transport
        self._stack = stack
        self._lock = threading.Lock()
        self.calls: list[str] = []
        self._applied = tags.applied_tag(stack.desired)
        self._ids = {
            item.address: f"i-{number:017x}"
            for number, item in enumerate(stack.desired.values())
            if isinstance(item.state, Instance)
        }

    def __call__(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
        with self._lock:
            self.calls.append(service)
        answer = copy.deepcopy(self._ask(service, operation, params))
        if operation == "describe_instances":
            self._repeat_instances(answer)
        elif operation == "describe_target_health":
            first = answer["TargetHealthDescriptions"][0]
            answer["TargetHealthDescriptions"] = [
                {**first, "Target": {**first["Target"], "Id": instance}} for instance in self._ids.values()
            ]
        self._say_applied(answer)
        return answer

    def _say_applied(self, part: Any) -> None:
        """The large spec was applied last, as the small one was."""
        if isinstance(part, list):
            for item in part:
                self._say_applied(item)
        elif isinstance(part, dict):
            if part.get("Key") == tags.APPLIED:
                part["Value"] = self._applied
            for item in part.values():
                self._say_applied(item)

    def _repeat_instances(self, answer: Response) -> None:
        first = answer["Reservations"][0]["Instances"][0]
        answer["Reservations"][0]["Instances"] = [
            {
                **first,
                "InstanceId": instance,
                "ClientToken": token_stem({tags.STACK: self._stack.name, tags.ADDRESS: str(address)}),
                "Tags": tags.to_list(tags.tags_of(self._stack.desired[address], self._stack.name)),
            }
            for address, instance in self._ids.items()
        ]
        answer["Reservations"] = answer["Reservations"][:1]


def main() -> None:
    """Plan twice: the small stack, which has to be there unchanged, and the large one."""
    small, large = (load_stack(file) for file in sys.argv[1:3])
    transport = BotoTransport(region=str(small.region), endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    transport.prepare()
    replay = Replay(transport, large)

    async def plan(stack: Stack, ask: Any) -> Plan:
        target = DesiredStack(stack.name, str(stack.region), stack.desired)
        aws = Aws(ask)
        try:
            return (await plan_stack(aws, target)).plan
        finally:
            aws.close()

    for stack, ask in ((small, transport), (large, replay)):
        made = asyncio.run(plan(stack, ask))
        assert made.is_empty, [(step.key, step.changes) for step in made.steps][:5]
    print(json.dumps({name: replay.calls.count(name) for name in ("ec2", "elbv2")}))


if __name__ == "__main__":
    main()
