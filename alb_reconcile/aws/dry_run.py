"""Runs calls as EC2's dry runs: checks whether these credentials may call an action, and changes nothing."""

from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable

from alb_reconcile.aws.transport import Response
from alb_reconcile.model.errors import AwsError

READS: Final = ("describe_", "get_", "list_")
WITHOUT: Final = (
    "modify_vpc_attribute", "modify_subnet_attribute", "associate_iam_instance_profile", "replace_iam_instance_profile_association",
    "associate_vpc_cidr_block", "disassociate_vpc_cidr_block", "associate_subnet_cidr_block", "disassociate_subnet_cidr_block",
    "modify_instance_placement", "assign_ipv6_addresses", "unassign_ipv6_addresses",
)  # fmt: skip
"""The actions that take no `DryRun` (Amazon EC2 API Reference)."""


class Transport(Protocol):
    """Makes one API call and returns AWS's answer; `once`: without a repetition. Raises AwsError. Several threads call it at once."""

    def __call__(
        self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False
    ) -> Response: ...


@runtime_checkable
class MakesEarly(Protocol):
    """A transport for which the first call to a service takes longer than later calls."""

    def make_early(self, *needed: tuple[str, bool]) -> None:
        """Prepare the first calls, also calls that are sent `once`, while other calls run."""


@runtime_checkable
class Regional(Protocol):
    """A transport that can call other regions, too."""

    def in_region(self, region: str) -> Transport:
        """The same account in another region."""


class DryRun:
    """A transport that changes nothing: EC2 is asked once for each action whether these credentials may call the action.

    Other services have no dry runs. Other answers of EC2 ("not yet", "still in use") only matter for the change itself.
    """

    def __init__(self, send: Transport, asked: set[str]) -> None:
        self._send = send
        self._asked = asked
        self.denied: list[AwsError] = []
        """The actions that these credentials may not call."""

    def __call__(self, service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> Response:
        if operation.startswith(READS):
            return self._send(service, operation, params)
        if service == "ec2" and operation not in self._asked.union(WITHOUT):
            self._asked.add(operation)
            known = {key: value for key, value in params.items() if key != "ClientToken"}  # it isn't spent
            try:
                self._send(service, operation, {**known, "DryRun": True}, once=once)
            except AwsError as error:
                if error.is_throttled:
                    self._asked.discard(operation)
                    raise
                if error.code == "UnauthorizedOperation":
                    self.denied.append(error)
        return _NothingMade()

    def in_region(self, region: str) -> Transport:
        """The same account in another region."""
        assert isinstance(self._send, Regional)  # noqa: S101 (for mypy: all but tests' are)
        return DryRun(self._send.in_region(region), self._asked)


class _NothingMade(dict[str, Any]):
    """The answer of a dry run. Code that reads the id of a made resource from the answer ends with an error."""

    def __missing__(self, key: str) -> Any:
        raise AwsError("ec2", "dry_run", "DryRunOperation", "nothing was made", "")
