"""Judges an instance's requests by the policies of its role, as IAM does; moto lets every request pass, and so do all other credentials.

Resources are compared for S3, SSM parameters, secrets and logs; of other actions only the action is. Of conditions StringEquals and
StringLike are known, on `aws:ResourceAccount` and `aws:PrincipalAccount`; a statement with any other condition doesn't apply.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.iam.models import IAMBackend
from moto.s3.exceptions import MissingKey, S3ClientError
from moto.s3.responses import S3Response
from moto.secretsmanager.models import secretsmanager_backends
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from . import iam_policies
from .matching import matches
from .sts import holds, listed, role_of

INSTANCE: Final = "strict_instance"
"""The attribute of an instance's session, of moto's class AssumedRole."""
_SINCE: Final = "strict_since"
_SERVICE: Final = re.compile(r"Credential=[^/, ]+/[0-9]{8}/[^/, ]+/([a-z0-9-]+)/")


class _DeniedError(AccessDeniedError):
    def __init__(self, code: str, message: str) -> None:
        super(AccessDeniedError, self).__init__(code, message)


def find_refusal(session: Any, action: str, resource: str | None, now: float, lag: float) -> str:
    """Why a session may not take an action, in AWS's words; empty if it may. `resource` is an ARN, or None if it isn't compared.

    `lag`: how long a policy that a role has got is unknown.
    """
    role, account = role_of(session.role_arn, session.region_name), session.account_id
    known = {"aws:ResourceAccount": account, "aws:PrincipalAccount": account}
    statements = [item for text in _documents(role, now - lag) for item in _statements(text)] if role else []
    found = {item.get("Effect") for item in statements if _applies(item, action, resource, known)}
    if "Allow" in found and "Deny" not in found:
        return ""
    why = "with an explicit deny in an identity-based policy"
    if "Deny" not in found:
        why = f"because no identity-based policy allows the {action} action"
    return f"User: {session.arn} is not authorized to perform: {action} on resource: {resource or '*'} {why}"


def _documents(role: Any, until: float) -> Iterator[str]:
    since: Mapping[str, float] = vars(role).get(_SINCE, {})
    for name, document in list(role.policies.items()):
        if since.get(name, until) <= until:
            yield document
    for arn, policy in list(role.managed_policies.items()):
        if since.get(arn, until) <= until:
            yield next(version.document for version in policy.versions if version.is_default)


def _statements(document: str) -> list[dict[str, Any]]:
    found = json.loads(document).get("Statement", [])
    return [found] if isinstance(found, dict) else list(found)


def _applies(statement: Mapping[str, Any], action: str, resource: str | None, known: Mapping[str, str]) -> bool:
    named = [item.lower() for item in listed(statement.get("Action", statement.get("NotAction")))]
    if matches(action.lower(), named) == ("NotAction" in statement):
        return False
    reached = listed(statement.get("Resource", statement.get("NotResource")))
    if resource is not None and matches(resource, reached) == ("NotResource" in statement):
        return False
    return all(
        holds(operator, values, known.get(key))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _session_of(response: Any) -> Any:
    """The instance's session that signed a request; None for any other credentials."""
    key = response.get_access_key()
    if not key.startswith("ASIA"):
        return None
    session = sts_backends[response.current_account][get_partition(response.region)].get_assumed_role_from_access_key(
        key
    )
    return session if session is not None and hasattr(session, INSTANCE) else None


def _resource(response: Any, action: str, resource: str) -> str | None:
    """The ARN that a request is about; None for an action of which the resources aren't compared."""
    service, _, operation = action.partition(":")
    region, account = response.region, response.current_account
    base = f"arn:{get_partition(region)}:{service}:{region}:{account}:"
    if service == "s3":
        return resource
    if service == "ssm" and operation == "GetParameter":
        name = str(response._get_param("Name") or "")
        return name if name.startswith("arn:") else f"{base}parameter/{name.partition(':')[0].removeprefix('/')}"
    if service == "secretsmanager" and (name := response._get_param("SecretId")):
        secret = secretsmanager_backends[account][region].secrets.get(name)
        return str(secret.arn) if secret else str(name) if name.startswith("arn:") else f"{base}secret:{name}"
    if service == "logs" and (group := response._get_param("logGroupName")):
        return log_stream_arn(region, account, group, response._get_param("logStreamName") or "")
    return None


def log_stream_arn(region: str, account: str, group: str, stream: str) -> str:
    """The ARN of a stream of a log group, as policies name it."""
    return f"arn:{get_partition(region)}:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"


def _judged(original: Any, clock: Callable[[], float], lag: float) -> Any:
    @functools.wraps(original)
    def authorize(response: Any, request: type, resource: str = "*") -> None:
        session, service = _session_of(response), _SERVICE.search(response.headers.get("Authorization", ""))
        if session is not None and service:
            action = f"{'tag' if service[1] == 'tagging' else service[1]}:{response._get_action()}"
            why = find_refusal(session, action, _resource(response, action, resource), clock(), lag)
            if why and action != "sts:GetCallerIdentity":
                raise _error(response, service[1], why)
        original(response, request, resource)

    return authorize


def _error(response: Any, service: str, why: str) -> Exception:
    if service == "s3":
        return S3ClientError("AccessDenied", why)
    if "X-Amz-Target" in response.headers:
        return JsonRESTError("AccessDeniedException", why)
    return _DeniedError("UnauthorizedOperation" if service == "ec2" else "AccessDenied", why)


def _hidden(original: Any, clock: Callable[[], float], lag: float) -> Any:
    @functools.wraps(original)
    def get_key(response: Any, *args: Any, **options: Any) -> Any:
        """GetObject: 'If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403 Access Denied error' for an
        object that isn't there (Amazon S3 API Reference)."""
        try:
            return original(response, *args, **options)
        except MissingKey:
            session = _session_of(response)
            bucket = f"arn:{get_partition(response.region)}:s3:::{response.bucket_name}"
            if session is not None and (why := find_refusal(session, "s3:ListBucket", bucket, clock(), lag)):
                raise S3ClientError("AccessDenied", why) from None
            raise

    return get_key


def _noted(original: Any, clock: Callable[[], float], turned: int) -> Any:
    """Note when a role gets a policy: 'Changes that I make are not always immediately visible' (IAM User Guide). A changed document of a
    policy is known at once. `turned`: which argument names the role; the other one is the policy."""

    @functools.wraps(original)
    def change(backend: Any, *args: Any, **named: Any) -> Any:
        first, second = [*args, *named.values()][:2]
        role_name, policy = (second, first) if turned else (first, second)
        role = backend.get_role(role_name)
        had = policy in role.policies or policy in role.managed_policies
        answer = original(backend, *args, **named)
        if not had:
            vars(role).setdefault(_SINCE, {})[policy] = clock()
        return answer

    return change


def patches(clock: Callable[[], float], lag: float) -> list[tuple[Any, str, Any]]:
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action
    return [
        (ActionAuthenticatorMixin, "_authenticate_and_authorize_action", _judged(authorize, clock, lag)),
        (S3Response, "_get_key", _hidden(S3Response._get_key, clock, lag)),
        (IAMBackend, "put_role_policy", _noted(IAMBackend.put_role_policy, clock, turned=0)),
        (IAMBackend, "attach_role_policy", _noted(iam_policies.attach_role_policy, clock, turned=1)),
    ]
