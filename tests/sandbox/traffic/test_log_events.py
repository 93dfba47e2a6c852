"""Applications' lines in CloudWatch Logs: sent once, kept while they are refused, and only with the role's permission."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from alb_reconcile.sandbox.traffic.log_delivery import put_events
from alb_reconcile.sandbox.traffic.log_events import LogEvents
from tests.sandbox.strict_world import client
from tests.sandbox.test_strict_permissions import TRUST, allow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alb_reconcile.sandbox.strict import StrictAws
    from alb_reconcile.sandbox.traffic.log_events import Event
    from tests.sandbox.strict_world import Network


class Service:
    """Takes what isn't refused."""

    def __init__(self) -> None:
        self.refusal, self.taken = "", list[str]()

    def put(self, instance: str, group: str, events: Sequence[Event]) -> str:
        if not self.refusal:
            self.taken += [f"{instance} {group} {at} {text}" for at, text in events]
        return self.refusal


def test_refused_lines_wait_and_each_refusal_is_told_once() -> None:
    service, now = Service(), [5.0]
    events = LogEvents(service.put, lambda: now[0])
    events.take({"i-1": ("/web", ["a"])})
    assert list(events.send(["i-1"])) == []
    service.refusal = "no"
    now[0] = 6.0
    events.take({"i-1": ("/web", ["b"])})
    assert list(events.send(["i-1"])) == [("i-1", "no")]
    events.take({"i-1": ("/web", ["c"])})
    assert list(events.send(["i-1"])) == []
    service.refusal = ""
    assert list(events.send(["i-1"])) == []
    assert list(events.send(["i-1"])) == []
    assert service.taken == ["i-1 /web 5000 a", "i-1 /web 6000 b", "i-1 /web 6000 c"]
    events.take({"i-1": ("/web", ["d"])})
    assert list(events.send(["i-2"])) == []
    assert list(events.send(["i-1"])) == []
    assert service.taken[3:] == []


def test_the_role_needs_the_permission_and_the_group_has_to_be_there(network: Network, aws: StrictAws) -> None:
    iam, logs, events = client("iam"), client("logs"), [(1, "x")]
    lonely = network.running()
    assert put_events(aws, lonely, "/web", events) == "the instance has no role, so it can't write to CloudWatch Logs"
    iam.create_role(RoleName="web", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_instance_profile(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    instance = network.running(IamInstanceProfile={"Name": "web"})

    def let(*actions: str) -> None:
        group = "arn:aws:logs:us-east-1:123456789012:log-group:/web:*"
        document = {"Version": "2012-10-17", "Statement": [allow(*actions, resource=group)]}
        iam.put_role_policy(RoleName="web", PolicyName="web", PolicyDocument=json.dumps(document))
        network.clock.advance(11)

    assert "perform: logs:CreateLogStream on" in put_events(aws, instance, "/web", events)
    let("logs:CreateLogStream")
    assert "perform: logs:PutLogEvents on" in put_events(aws, instance, "/web", events)
    let("logs:CreateLogStream", "logs:PutLogEvents")
    assert put_events(aws, instance, "/web", events) == "ResourceNotFoundException: the log group /web does not exist"
    logs.create_log_group(logGroupName="/web")
    now = int(aws.moment(aws.clock()).timestamp() * 1000)
    assert put_events(aws, instance, "/web", [(now, "one"), (now, "two")]) == ""
    let("logs:PutLogEvents")  # the stream is there
    assert put_events(aws, instance, "/web", [(now, "three")]) == ""
    found = logs.get_log_events(logGroupName="/web", logStreamName=instance, startFromHead=True)["events"]
    assert [item["message"] for item in found] == ["one", "two", "three"]


def test_too_many_that_wait_are_lost_from_the_oldest_on() -> None:
    service = Service()
    events = LogEvents(service.put, lambda: 0.0)
    events.take({"i-1": ("/web", [str(number) for number in range(10_001)])})
    assert list(events.send(["i-1"])) == []
    assert [service.taken[0], service.taken[-1]] == ["i-1 /web 0 1", "i-1 /web 0 10000"]
