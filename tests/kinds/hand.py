"""What somebody does by hand behind the tool's back, and what the tool must then say and do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.hints import explain_code
from alb_reconcile.model.errors import AwsError, RefusedError
from tests.harness import READS, Spec, World, by_hand, demo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alb_reconcile.model.plan import Plan
    from tests.harness import Result

LINUX_1, LINUX_2 = "ami-03cf127a", "ami-1e749f67"
"""Two images that the emulator knows."""
Line = tuple[str, str, tuple[str, ...]]
"""A step in short: action, address, the paths of its changes (none for a creation or a deletion)."""


class Hand:
    """Somebody with the console, in an account in which the tool has made a stack."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.spec: Spec = {}
        self.ids: dict[str, str] = {}

    @property
    def ec2(self) -> Any:
        return by_hand("ec2")

    @property
    def elb(self) -> Any:
        return by_hand("elbv2")

    def make(self, spec: Spec, **options: Any) -> Result:
        """Let the tool bring the stack to a spec, which must converge in one run."""
        result = self.world.converge(spec, **options)
        assert result.rest is not None
        self.spec = spec
        self.ids = {str(address): physical_id for physical_id, address in result.rest.names.items()}
        return result

    def __getitem__(self, address: str) -> str:
        """The physical id behind an address, as of the last `make`."""
        return self.ids[address]

    def repairs(
        self,
        *lines: Line,
        spec: Spec | None = None,
        by: str | tuple[str, ...] = (),
        calls: Mapping[str, int] | None = None,
        allow: Mapping[str, int] | None = None,
    ) -> Result:
        """The plan must be exactly those steps; one run must make no mutating calls but those, and leave nothing to do.

        `by` names the calls, `calls` counts them as well, where that is what a test is about.
        """
        spec = spec or self.spec
        assert short(self.world.plan(spec, allow=allow)) == sorted(lines)
        result = self.make(spec, allow=allow)
        if calls is not None:
            assert result.writes == calls
        else:
            assert result.writes.keys() == ({by} if isinstance(by, str) else set(by))
        return result

    def refuses(self, spec: Spec, match: str | None = None, **options: Any) -> str:
        """The plan must be refused with words that match. Returns all of them."""
        with pytest.raises(RefusedError, match=match) as caught:
            self.world.plan(spec, **options)
        return str(caught.value)

    def refuses_run(self, spec: Spec, match: str | None = None, **options: Any) -> list[str]:
        """The whole run must be refused, and have changed nothing. Returns what is said, line by line."""
        before = self.world.strict.inventory()
        with pytest.raises(RefusedError, match=match) as caught:
            self.world.apply(spec, **options)
        assert self.world.strict.inventory() == before
        assert all(name.startswith(READS) for name, _ in self.world.log)
        return str(caught.value).splitlines()

    def answers(self, changed: str, change: Callable[[Any], object]) -> None:
        """From now on AWS's answers to an operation are changed before the tool reads them."""
        real = self.world._call

        def call(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            answer = real(service, operation, params)
            if operation == changed:
                change(answer)
            return answer

        self.world._call = call  # type: ignore[method-assign]

    def changed_tags(self, service: str, resource: str, tags: Mapping[str, str]) -> None:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        if service == "ec2":
            self.ec2.create_tags(Resources=[resource], Tags=pairs)
        else:
            self.elb.add_tags(ResourceArns=[resource], Tags=pairs)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.clock.advance(seconds)

    def stranger_in(self, subnet: str) -> str:
        """A running instance that isn't the stack's."""
        answer = self.ec2.run_instances(
            ImageId=LINUX_1, InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet
        )
        self.wait(30)
        return str(answer["Instances"][0]["InstanceId"])


def short(plan: Plan) -> list[Line]:
    """A plan's steps in short and sorted; the second half of a replacement isn't told apart from a deletion."""
    return sorted(
        (
            step.action,
            str(step.address),
            () if step.action in ("create", "delete") else tuple(sorted(change.path for change in step.changes)),
        )
        for step in plan.steps
    )


def update(address: str, *paths: str) -> Line:
    return ("update", address, tuple(sorted(paths)))


def create(address: str) -> Line:
    return ("create", address, ())


def delete(address: str) -> Line:
    return ("delete", address, ())


def replaced(address: str, *paths: str) -> tuple[Line, Line]:
    return (("replace", address, tuple(sorted(paths))), ("delete", address, ()))


def edited(spec: Spec, path: str, value: Any) -> Spec:
    """The spec with another value at a path of keys, such as `target_groups/web/port`; None takes the key out."""
    import copy

    spec = copy.deepcopy(spec)
    *parents, last = path.split("/")
    place: Any = spec
    for key in parents:
        place = place.setdefault(key, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return spec


def order(world: World, *operations: str) -> list[str]:
    """Which of those calls the last run made, in order."""
    return [name for name, _ in world.log if name in operations]


def calls(world: World, operation: str) -> list[Mapping[str, Any]]:
    """The parameters of the last run's calls of an operation."""
    return [params for name, params in world.log if name == operation]


class Faults:
    """Stands between the tool and AWS: refuses calls with an error once, or lets replies get lost."""

    def __init__(self, world: World) -> None:
        self.refusals: dict[str, list[tuple[AwsError, bool]]] = {}
        self.later: dict[str, dict[str, list[tuple[AwsError, bool]]]] = {}
        self.made: Counter[str] = Counter()
        self._first: dict[str, Callable[[Mapping[str, Any]], object]] = {}
        self._real = self._dry = world._call
        self._denial = world.denial
        world._call = self._call  # type: ignore[method-assign]

    def refuse(self, operation: str, code: str, message: str = "", *, times: int = 1, after: str = "") -> None:
        """The next calls of an operation (after another one was made) fail with that code and change nothing."""
        error = AwsError("test", operation, code, message, "req-1", hint=explain_code("test", operation, code))
        refusals = self.refusals if not after else self.later.setdefault(after, {})
        refusals.setdefault(operation, []).extend([(error, False)] * times)

    def lose_reply(self, operation: str) -> None:
        """The next call of an operation takes effect, but its reply never arrives."""
        error = AwsError("test", operation, "ReadTimeoutError", "lost", "", ambiguous=True)
        self.refusals.setdefault(operation, []).append((error, True))

    def before(self, operation: str, happens: Callable[[Mapping[str, Any]], object]) -> None:
        """Something happens before the next call of an operation, of which it is told the parameters."""
        self._first[operation] = happens

    def repeat(self, service: str, operation: str) -> None:
        """The next call takes effect, its reply gets lost, and AWS's own library makes it again."""
        self.before(operation, lambda params: self._real(service, operation, params))

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if "DryRun" in params:
            return self._dry(service, operation, params)
        if happens := self._first.pop(operation, None):
            happens(params)
        self.refusals |= self.later.pop(operation, {})
        waiting, denied = self.refusals.get(operation), self._denial.calls[operation]
        fault = waiting[0] if waiting else None
        try:
            answer = self._real(service, operation, params) if fault is None or fault[1] else {}
        finally:
            if self._denial.calls[operation] == denied:  # else the call will be made again
                self.made[operation] += 1
                if waiting:
                    waiting.pop(0)
        if fault is not None:
            raise fault[0]
        return answer


def rich() -> Spec:
    """The demo with every property declared that can drift. Needs `prepare`."""
    spec = demo()
    spec["vpcs"]["main"]["enable_dns_support"] = True
    spec["security_groups"]["web"]["egress"] = [{"protocol": "all", "cidr_block": "0.0.0.0/0"}]
    spec["instances"]["web"] |= {
        "key_name": "ops",
        "iam_instance_profile": "web",
        "root_volume": {"volume_size": 20, "volume_type": "gp3", "encrypted": True},
        "metadata_options": {
            "http_tokens": "required",
            "http_put_response_hop_limit": 2,
            "http_endpoint": "enabled",
            "instance_metadata_tags": "disabled",
        },
    }
    spec["target_groups"]["web"]["health_check"] = {
        "protocol": "HTTP",
        "port": "traffic-port",
        "path": "/health",
        "interval_seconds": 10,
        "timeout_seconds": 4,
        "healthy_threshold_count": 2,
        "unhealthy_threshold_count": 3,
        "matcher": "200",
    }
    spec["target_groups"]["web"]["attributes"] |= {
        "stickiness.enabled": False,
        "load_balancing.algorithm.type": "round_robin",
    }
    return spec


def prepare() -> None:
    """What a spec only names: a key pair and two instance profiles."""
    by_hand("ec2").create_key_pair(KeyName="ops")
    for name in ("web", "other"):
        by_hand("iam").create_instance_profile(InstanceProfileName=name)
