"""Answers the instances' requests to the metadata service (IMDSv2), each at a path of its own, with the credentials of the instance's role."""

import json
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from moto.ec2.models import ec2_backends
from moto.sts.models import sts_backends

from alb_reconcile.sandbox.strict import StrictAws
from alb_reconcile.sandbox.strict.permissions import INSTANCE
from alb_reconcile.sandbox.strict.sts import role_of, trusts
from alb_reconcile.sandbox.strict.world import World

_TOKEN: Final = "/latest/api/token"  # noqa: S105  # a path
_META: Final = "/latest/meta-data/"
_ROLE: Final = "iam/security-credentials/"
_DURATION: Final = 6 * 3600
"""How many seconds credentials are valid. New ones are given out an hour before they expire."""
_LONGEST: Final = 21600
"""The most seconds that a token is valid (EC2 User Guide, 'Use the Instance Metadata Service')."""
_STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"


class Metadata:
    """The metadata service of all instances."""

    def __init__(self, strict: StrictAws) -> None:
        self._strict = strict
        self._tokens: dict[str, tuple[str, float]] = {}
        """Each token's instance, and the time until which it is valid."""

    def answer(self, instance_id: str, method: str, path: str, environ: Mapping[str, Any]) -> tuple[str, str]:
        """The status and the text that an instance gets; the path begins with /latest."""
        if path == _TOKEN:
            return self._give_token(instance_id, method, environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS", ""))
        owner, until = self._tokens.get(environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN", ""), ("", 0.0))
        if owner != instance_id or until < time.monotonic():
            return "401 Unauthorized", ""
        with self._strict._lock:  # no request is processed meanwhile
            text = _look(instance_id, path.removeprefix(_META)) if path.startswith(_META) else None
        return ("404 Not Found", "") if text is None else ("200 OK", text)

    def _give_token(self, instance_id: str, method: str, seconds: str) -> tuple[str, str]:
        if method != "PUT":
            return "405 Method Not Allowed", ""
        if not (seconds.isdecimal() and 0 < int(seconds) <= _LONGEST):
            return "400 Bad Request", ""
        now, token = time.monotonic(), secrets.token_urlsafe(32)
        self._tokens = {key: held for key, held in self._tokens.copy().items() if held[1] >= now}
        self._tokens[token] = (instance_id, now + int(seconds))
        return "200 OK", token


def find_instance(instance_id: str) -> tuple[World, Any] | None:
    """An instance that isn't terminated, with its account and region."""
    for account, regions in list(ec2_backends.items()):
        for region in list(regions):
            world = World(account, region)
            if (found := world.instance(instance_id)) and found.state != "terminated":
                return world, found
    return None


def session_of(world: World, instance_id: str) -> Any:
    """The session of an instance's role (moto's AssumedRole); None without an instance profile that has a role."""
    association = world.ec2.iam_instance_profile_associations.get(instance_id)
    roles = association.iam_instance_profile.roles if association else []
    if not roles or role_of(roles[0].arn, world.region) is None:
        return None
    backend = sts_backends[world.account][world.ec2.partition]
    latest = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    for held in reversed(backend.assumed_roles):
        if (held.session_name, held.role_arn) == (instance_id, roles[0].arn) and hasattr(held, INSTANCE):
            if held.expiration.replace(tzinfo=None) > latest:
                return held
            break
    made = backend.assume_role(
        region_name=world.region, role_session_name=instance_id, role_arn=roles[0].arn, policy="", duration=_DURATION,
        external_id="",
    )  # fmt: skip
    vars(made)[INSTANCE] = True
    return made


def _look(instance_id: str, path: str) -> str | None:
    """The text of a path below meta-data; None if there is none."""
    found = find_instance(instance_id)
    if found is None:
        return None
    world, instance = found
    if not path.startswith(_ROLE):
        zone = instance.placement.zone
        plain = {"instance-id": instance_id, "placement/availability-zone": zone, "placement/region": world.region}
        return plain.get(path)
    session = session_of(world, instance_id)
    if session is None:
        return None
    name = session.role_arn.rpartition("/")[2]
    if path == _ROLE:
        return str(name)
    return json.dumps(_credentials(session, name), indent=2) if path == _ROLE + name else None


def _credentials(session: Any, name: str) -> dict[str, str]:
    """The document of a role's credentials, or of why there are none (IAM User Guide, 'Troubleshoot IAM and Amazon EC2')."""
    now = datetime.now(UTC)
    if not trusts(role_of(session.role_arn, session.region_name), "ec2.amazonaws.com"):
        why = f"EC2 cannot assume the role {name}. Its trust policy has to let ec2.amazonaws.com take sts:AssumeRole."
        return {"Code": "AssumeRoleUnauthorizedAccess", "Message": why, "LastUpdated": now.strftime(_STAMP)}
    return {
        "Code": "Success",
        "LastUpdated": now.strftime(_STAMP),
        "Type": "AWS-HMAC",
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "Token": session.session_token,
        "Expiration": session.expiration.strftime(_STAMP),
    }
