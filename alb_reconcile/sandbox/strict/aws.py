"""The strict AWS: moto with the rules of this package around every EC2 and ELBv2 request."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import moto
import moto.settings
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import AmiBackend
from moto.ec2.models.subnets import Subnet
from moto.ec2.responses import EC2Response
from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import elbv2_backends
from moto.elbv2.responses import ELBV2Response

from . import (
    acm,
    cloudtrail,
    corrections,
    ec2_attachments,
    ec2_console,
    ec2_gateways,
    ec2_nat,
    ec2_options,
    elb_pools,
    elb_trust_stores,
    filters,
    function_policies,
    iam_policies,
    logs,
    moto_cache,
    permissions,
    quotas,
    references,
    route53,
    s3_buckets,
    s3_conditions,
    ssm,
    sts,
    tag_index,
)
from .catalogue import looked_up, shared_images
from .clock import Timing
from .health import Health, HealthHook
from .history import History
from .inventory import answer, take_inventory
from .paging import EVERYTHING, Pager, plan_of
from .passage import settle, show_states
from .rule import Call, RefusedError, refuse, refuse_ill_characters
from .rulebook import book_of_rules
from .throttling import Throttling
from .world import Ledger, World

READING = ("Describe", "Get", "List")
VALIDATIONS = {
    "EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION",
    "ENABLE_AMI_VALIDATION": "MOTO_ENABLE_AMI_VALIDATION",
    "ENABLE_KEYPAIR_VALIDATION": "MOTO_ENABLE_KEYPAIR_VALIDATION",
}
WIRE_ERRORS = {"ec2": EC2ClientError, "elbv2": ELBClientError}
_ABSENT = object()


class StrictAws(AbstractContextManager["StrictAws"]):
    """A context manager that installs the strict rules, and by default also moto's `mock_aws`, until it exits."""

    def __init__(
        self,
        clock: Callable[[], float],
        timing: Timing | None = None,
        lag: float = 0.0,
        *,
        mock: bool = True,
        throttling: float = 0.0,
        limited: bool = False,
    ) -> None:
        self.clock = clock
        self.timing = timing or Timing()
        self.lag = lag  # seconds by which describe actions are behind
        self.lag_of_read: Callable[[], float] | None = None  # called for each describe in place of `lag`; at most `lag`
        self.reference_lag = 0.0  # seconds until other calls can name a new id
        self.console: Callable[[str], bytes] = lambda _: b""  # what an instance has written since its boot
        self.denied = 0  # calls that were refused for that
        self.page_size: int | None = None  # the longest page, whatever a request asks for
        self.changes = 0  # number of changes, or possible ones, other than by the passage of time
        self._mock = moto.mock_aws() if mock else None
        self._lock = threading.RLock()
        self._undo: ExitStack | None = None
        self._settled: tuple[Any, ...] = ()  # the world, time and changes that were settled last
        self._health = Health()
        self._history = History()
        self._pager = Pager()
        self._throttling = Throttling(throttling) if throttling else None
        self._usual_quotas = quotas.USUAL if limited else {}
        self._rules = book_of_rules()
        self._origin, self._started = datetime.now(UTC), clock()

    def moment(self, now: float) -> datetime:
        """The date and time of a moment of the clock."""
        return self._origin + timedelta(seconds=now - self._started)

    @property
    def health(self) -> HealthHook | None:
        """A function that gives the result of a target's health check; None: all targets are healthy."""
        return self._health.hook

    @health.setter
    def health(self, hook: HealthHook | None) -> None:
        self._health.hook = hook
        self.changes += 1

    def __enter__(self) -> StrictAws:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()

    def install(self) -> None:
        with ExitStack() as stack:
            if self._mock:
                forget_backends()  # moto's earlier backends have a default VPC without a route out
                self._mock.start()
                stack.callback(self._mock.stop)
                stack.callback(forget_backends)  # else stopping would make them all again
            for setting, variable in VALIDATIONS.items():
                replace(stack, moto.settings, setting, True)
                stack.callback(restore_variable, variable, os.environ.get(variable))
                os.environ[variable] = "true"
            # a certificate that is validated by mail is issued at once
            replace(stack, moto.settings, "ACM_VALIDATION_WAIT", -1)
            for target, attribute, wrapper in self._patches():
                replace(stack, target, attribute, wrapper)
            if self._mock:
                # moto's cache keeps every subnet forever, and with it every former backend
                stack.callback(Subnet._base_avail_ip_iterator.cache_clear)
            self._undo = stack.pop_all()

    def uninstall(self) -> None:
        if self._undo:
            self._undo.close()
            self._undo = None
        self._history, self._settled = History(), ()

    def _patches(self) -> list[tuple[Any, str, Any]]:
        return [
            (EC2Response, "call_action", self._wrapped(EC2Response.call_action, "ec2")),
            (ELBV2Response, "call_action", self._wrapped(ELBV2Response.call_action, "elbv2")),
            (Ledger, "usual_quotas", self._usual_quotas),
            (AmiBackend, "_load_amis", shared_images(AmiBackend._load_amis)),
            (AmiBackend, "describe_images", looked_up(AmiBackend.describe_images)),
            *acm.Acm(self.clock, self.moment, self.timing, lambda: self.lag).patches(),
            *cloudtrail.patches(self.clock, lambda: self.lag, self._throttling),
            *corrections.patches(),
            *ec2_attachments.patches(),
            *ec2_console.patches(lambda name: self.console(name), lambda: self.moment(self.clock())),
            *ec2_gateways.patches(),
            *ec2_nat.patches(),
            *function_policies.patches(),
            *ec2_options.patches(),
            *elb_trust_stores.patches(),
            *iam_policies.patches(),
            *elb_pools.patches(),
            *logs.patches(),
            *permissions.patches(self.clock, self.timing.permissions_known),
            *quotas.patches(),
            *references.patches(self.clock),
            *moto_cache.patches(),
            *route53.patches(self.clock, self.timing, self._throttling),
            *s3_buckets.patches(),
            *s3_conditions.patches(),
            *ssm.patches(),
            *sts.patches(),
            *tag_index.patches(self.clock, lambda: self.lag, lambda: self.page_size),
        ]

    def _wrapped(self, original: Callable[[Any], Any], service: str) -> Callable[[Any], Any]:
        @functools.wraps(original)
        def call_action(response: Any) -> Any:
            action = response._get_action() or ""
            method = moto_cache.method_of(action)
            proceed = getattr(response, method, None)
            if proceed is None:
                return original(response)
            world = World(response.current_account, response.region)
            with self._lock, self._view(world, behind := self._behind(action)):
                # Inside original, so that moto turns refusals into responses of the right protocol.
                answer = functools.partial(self._answer, response, world, service, action, proceed, behind)
                setattr(response, method, functools.partial(told_to_moto, service, answer))
                return original(response)

        return call_action

    def _behind(self, action: str) -> float:
        if self.lag <= 0 or not action.startswith(READING):
            return 0.0
        return self.lag if self.lag_of_read is None else self.lag_of_read()

    def _view(self, world: World, behind: float) -> AbstractContextManager[None]:
        now = self.clock()
        self._settle(world, now)
        return self._history.shown(world, now - behind) if behind > 0 else nullcontext()

    def _settle(self, world: World, now: float) -> None:
        settled = (world, now, self.changes, world.ec2, world.elb)
        if settled != self._settled or self._health.hook is not None:
            settle(world, now, self.timing, self._health, self._keep)
            self._settled = settled

    def _keep(self, world: World, until: float) -> None:
        if self.lag > 0:
            self._history.keep(world, until, self.clock() - self.lag)

    def _call(self, action: str, params: MutableMapping[str, Any], world: World, now: float) -> Call:
        return Call(action, params, world, self.timing, now, self.moment(now))

    def _answer(
        self,
        response: Any,
        world: World,
        service: str,
        action: str,
        proceed: Callable[[], Any],
        behind: float,
    ) -> ActionResult:
        refuse_ill_characters(service, response.params)
        now = self.clock()
        reading = action.startswith(READING)
        seen = now - behind
        call = self._call(action, response.params, world, seen)
        if self._throttling is not None:
            self._throttling.take(service, call, now)
        if reading:
            if behind > 0:
                show_states(world, seen)
            return ActionResult(self._read(service, call, proceed))
        self.changes += 1
        if self.reference_lag > 0:
            self.denied += 1
            references.check(call, self.reference_lag)
            self.denied -= 1
        self._keep(world, now)
        known = world.ids()
        result = self._perform(service, call, proceed)
        made = world.ids() - known
        world.ledger.created.update(dict.fromkeys(made, now))
        cloudtrail.note(call, service, response, made)
        self._settle(world, now)
        return ActionResult(result)

    def _read(self, service: str, call: Call, proceed: Callable[[], Any]) -> Any:
        filters.check_names(service, call)
        asked = self._pager.asked(service, call)
        with filters.clear_refusal(call):
            result = self._perform(service, call, proceed)
        return self._pager.page(service, call, asked, result, self.page_size) if asked else result

    def _perform(self, service: str, call: Call, proceed: Callable[[], Any]) -> Any:
        if call.action in call.world.ledger.denied:  # EC2 API Reference, "Common client error codes"
            refuse("UnauthorizedOperation", "You are not authorized to perform this operation.", status=403)
        rules = self._rules.get((service, call.action), ())
        for rule in rules:
            if rule.phase == "before":
                rule.apply(call)
        if call.given("DryRun"):
            refuse("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")

        def ask_moto() -> Any:
            return proceed().result

        answer: Callable[[], Any] = ask_moto
        for rule in rules:
            if rule.phase == "around":
                answer = functools.partial(rule.apply, call, answer)
        result = answer()
        for rule in rules:
            if rule.phase == "after":
                result = rule.apply(call, result)
        return result

    def set_target_unhealthy(
        self, target_group_arn: str, instance_id: str, reason: str = "Target.ResponseCodeMismatch"
    ) -> None:
        """Let a target fail its health checks from now on; it becomes `unhealthy` after the group's threshold."""
        self._set_health(target_group_arn, instance_id, reason)

    def set_target_healthy(self, target_group_arn: str, instance_id: str) -> None:
        """Undo `set_target_unhealthy`."""
        self._set_health(target_group_arn, instance_id, None)

    def _set_health(self, arn: str, instance_id: str, reason: str | None) -> None:
        _, _, _, region, account, _ = arn.split(":", 5)
        world = World(account, region)
        with self._lock:
            now = self.clock()
            self._settle(world, now)
            world.ledger.unhealthy.pop((arn, instance_id), None)
            if reason:
                world.ledger.unhealthy[(arn, instance_id)] = reason
            self.changes += 1
            self._settle(world, now)

    def hide_interface(self, interface_id: str, region: str = "us-east-1", account: str = DEFAULT_ACCOUNT_ID) -> None:
        """Mark a network interface as managed and hidden by an AWS service."""
        with self._lock:
            self.changes += 1
            World(account, region).ledger.hidden.add(interface_id)

    def inventory(self, region: str = "us-east-1", account: str = DEFAULT_ACCOUNT_ID) -> dict[str, dict[str, Any]]:
        """Everything that a user could see in an account and region now, by physical id."""
        world = World(account, region)
        with self._lock:
            self._settle(world, self.clock())

            def ask(service: str, action: str, **params: Any) -> dict[str, Any]:
                return self._ask(world, service, action, params)

            return take_inventory(world, ask)

    def _ask(self, world: World, service: str, action: str, params: dict[str, Any]) -> dict[str, Any]:
        """Make a request inside the emulator: without lag, paging and HTTP."""
        response = EC2Response() if service == "ec2" else ELBV2Response()
        response.params, response.region, response.current_account = params, world.region, world.account
        response.querystring, response.headers = {"Action": [action]}, {}
        response.data, response.uri_match, response.response_headers = {}, {}, {}
        if service == "elbv2" and plan_of(service, action):
            params["PageSize"] = EVERYTHING
        call = self._call(action, params, world, self.clock())
        result = self._perform(service, call, getattr(response, moto_cache.method_of(action)))
        return answer(response, action, result)


def told_to_moto(service: str, answer: Callable[[], Any]) -> Any:
    """The result of `answer`; a refusal is converted to an error that moto can send."""
    try:
        return answer()
    except RefusedError as refusal:
        return Refusal(WIRE_ERRORS[service](refusal.code, refusal.message), refusal.status)


class Refusal(ActionResult):
    """An error with its own HTTP status; moto has only one status for all errors of EC2 and ELBv2."""

    def __init__(self, error: Exception, status: int) -> None:
        super().__init__(error)
        self.status = status

    def execute_result(self, context: Any) -> Any:
        _, headers, body = super().execute_result(context)
        return self.status, headers, body


def replace(stack: ExitStack, target: Any, attribute: str, value: Any) -> None:
    """Set an attribute until the stack unwinds."""
    previous = vars(target).get(attribute, _ABSENT)
    setattr(target, attribute, value)
    if previous is _ABSENT:
        stack.callback(delattr, target, attribute)
    else:
        stack.callback(setattr, target, attribute, previous)


def restore_variable(variable: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value


def forget_backends() -> None:
    for backends in (ec2_backends, elbv2_backends):
        backends.clear()
