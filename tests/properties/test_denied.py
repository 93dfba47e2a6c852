"""Each action that a kind needs is denied: what isn't done, and which action to allow, is told, and with it one run finishes."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.hints import explain_code
from alb_reconcile.model.errors import AwsError, ReconcileError
from alb_reconcile.model.text import camel
from tests.harness import READS
from tests.kinds.authorization import actions_of, requests
from tests.properties.campaign import begin, told
from tests.properties.examples import KINDS
from tests.properties.scenarios import LAST_STATES, census, finish, look_of
from tests.properties.scenes import ways_of
from tests.properties.seeds import sampled
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.properties.scenarios import Way
    from tests.properties.watched import WatchedWorld

CODES = {"ec2": "UnauthorizedOperation", **dict.fromkeys(("elbv2", "iam", "route53", "s3"), "AccessDenied")}
"""What a service calls a call that isn't allowed, where it isn't AccessDeniedException."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", sampled(KINDS, 16))
def test_what_a_kind_may_not_do_is_told_and_the_next_run_finishes(kind: str) -> None:
    """Reads, too; in each part of the life of its example in which the action is called."""
    wrong = list[str]()
    found = KINDS[kind].iam_actions
    stated = {*found.read, *found.look, *found.create, *found.update, *found.delete}
    for name, way in ways_of(kind).items():
        with watched() as world:
            way.prepare()
            begin(world, way)
            start = world.moment()
            with permissions(world) as allowed:
                world.converge(way.target, **way.run_options)
            world.clock.advance(LAST_STATES)
            good = look_of(world, way), census(world)
            # what others have, web ACLs, stays as it is
            goes_back = allowed.changed <= {"ec2", "elbv2", *start.others}
            actions = [action for action in allowed.used if action in stated]
            for action in actions if goes_back else ():
                world.go_back(start)
                wrong += faults_of(world, way, action, good, name)
        for action in () if goes_back else actions:
            with watched() as world:
                way.prepare()
                begin(world, way)
                wrong += faults_of(world, way, action, good, name)
    assert not wrong, "\n\n".join(wrong)


def faults_of(world: WatchedWorld, way: Way, action: str, good: tuple[Any, Any], name: str) -> Iterator[str]:
    """What was wrong when the action was denied, if anything."""
    try:
        check(world, way, action, good)
    except AssertionError as error:
        yield f"{name}, {action} denied: {error}"


def check(world: WatchedWorld, way: Way, action: str, good: tuple[Any, Any]) -> None:
    """Once in vain, and then allowed."""
    with permissions(world, action) as denied:
        try:
            result = world.apply(way.target, **way.run_options)
        except ReconcileError as error:
            said = told(error)
            undone = True
        else:
            said = "\n".join([*result.failures, *result.problems, *result.warnings, *result.plan.warnings])
            undone = bool(result.failures or result.problems)
    assert denied.calls
    if undone or not all(call.startswith(READS) for call in denied.calls):  # one can do without some reads
        assert advised(said) == {action.lower()}, said
    assert advised(said) <= {action.lower()}, said
    delete_what_is_said_to_stay(world, said)
    world.clock.advance(way.hidden)
    if finish(world, way, 1) and not undone:
        is_told = action.lower() in said.lower() or any(call in said for call in denied.calls)
        assert is_told, f"not told: {said}"
    world.clock.advance(LAST_STATES)
    assert (look_of(world, way), census(world)) == good


def advised(said: str) -> set[str]:
    """The actions that a text says to allow."""
    found = re.findall(r"allow (?:the IAM action (\S+) to this identity|them ([a-z0-9-]+:\w+))", said)
    return {(named or told).lower() for named, told in found}


def delete_what_is_said_to_stay(world: WatchedWorld, said: str) -> None:
    """By hand, as it is said: a certificate's validation records, where it isn't known whether another region needs them."""
    for names, zone in re.findall(r"the validation record (.+?) stays in zone (\w+): .*; delete it by hand", said):
        rows = world.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        found = [row for row in rows if row["Name"].removesuffix(".") in names.split(" and ")]
        assert found, names
        changes = [{"Action": "DELETE", "ResourceRecordSet": row} for row in found]
        world.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


class Permissions:
    """All but one of the actions that AWS asks IAM about."""

    def __init__(self, denied: str) -> None:
        self.used = dict[str, None]()
        self.calls = list[str]()
        """Those that were denied."""
        self.changed = set[str]()
        """The services of which changing calls were made."""
        self._denied = denied

    def ask(self, service: str, operation: str, params: Mapping[str, Any]) -> None:
        """Raises AwsError for a call that isn't allowed."""
        self.changed |= set() if operation.startswith(READS) else {service}
        for request in requests(service, operation, params):
            self.used[request.action] = None
            if request.action == self._denied:
                self.calls.append(operation)
                raise _error(service, operation, request.action)


def _error(service: str, operation: str, action: str) -> AwsError:
    """As AWS says it; it names the action only where the call's name doesn't tell it, since it doesn't always."""
    code = CODES.get(service, "AccessDeniedException")
    own = actions_of(service)[operation]
    is_plain = own == action and own.lower().endswith(f":{camel(operation)}".lower())
    message = "You are not authorized" if is_plain else f"User: x is not authorized to perform: {action} on resource: y"
    hint = explain_code(service, operation, code, message)
    return AwsError(service, operation, code, message, "req-1", hint=hint)


@contextmanager
def permissions(world: WatchedWorld, denied: str = "") -> Iterator[Permissions]:
    """Within the block calls need them, but for those that ask for what may be done: what only the change itself is refused for
    can't be found out beforehand."""
    real, found = world._call, Permissions(denied)

    def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if "DryRun" not in params:
            found.ask(service, operation, params)
        return real(service, operation, params)

    world._call = call  # type: ignore[method-assign]
    try:
        yield found
    finally:
        world._call = real  # type: ignore[method-assign]
