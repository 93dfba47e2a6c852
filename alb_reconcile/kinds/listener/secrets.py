"""Reads the client secrets of authenticate-oidc actions, and notices a changed secret without storing it.

The listener or rule carries a tag with a digest of the secret's place and of the version that was written last. SSM and Secrets
Manager tell the version without the secret; for the environment and files the spec says the version (`version`).
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.base import Adopted, Intent, Keep
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.listener.actions import actions_to_aws
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.secret_versions import READ, current_version, objection
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Action, Secret
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.files import read_file
from alb_reconcile.model.resource import Desired, Observed
from alb_reconcile.model.secrets import mark
from alb_reconcile.model.text import digest

_SAY: Final = ("ssm:GetParameter", "secretsmanager:GetSecretValue", "kms:Decrypt")
_POOL: Final = "cognito-idp:DescribeUserPoolClient"
WRITE: Final = (*_SAY, _POOL)
"""The IAM actions that show the secret; and the actions that AWS needs where a user pool authenticates."""
_MOST: Final = 4096
"""Bytes of a file."""


def secret_of(action: Action) -> Secret | None:
    """The place of an action's client secret."""
    return action.authentication.client_secret if action.authentication else None


def secret_grants(scope: Scope, action: Action) -> Iterator[Grant]:
    """The permissions to read an action's client secret, which may be encrypted with any key; or its user pool."""
    secret = secret_of(action)
    if action.authentication and (pool := dict(action.authentication.settings).get("user_pool_arn")):
        yield Grant((_POOL,), (pool,))
    if secret is None or secret.source not in ("ssm", "secretsmanager"):
        return
    if secret.source == "ssm":
        yield Grant(READ[:1])
        yield Grant(_SAY[:1], (scope.arn("ssm", f"parameter/{secret.name.removeprefix('/')}"),))
    else:  # Secrets Manager adds six characters
        own = scope.arn("secretsmanager", f"secret:{secret.name}-??????")
        yield Grant((READ[1], _SAY[1]), (secret.name if secret.name.startswith("arn:") else own,))
    via = (("StringEquals", "kms:ViaService", (f"{secret.source}.{scope.region}.amazonaws.com",)),)
    yield Grant(("kms:Decrypt",), (scope.arn("kms", "key/*"),), via)


async def observe_secret(
    reader: Reader, wanted: Desired | None, action: Action, found: Mapping[str, str]
) -> tuple[Action, str]:
    """An observed action with the client secret that was written, as its tag says, and with the secret's present version."""
    secret = secret_of(action_of(wanted.state)) if wanted else None
    if secret is None or action.authentication is None or action.authentication.type != "authenticate-oidc":
        return action, ""
    version = await reader.once(current_version, reader.aws, secret)
    place, _, written = found.get(tags.CLIENT_SECRET, "").partition(" ")
    if place != _place(secret):
        return action, version
    known = replace(action.authentication, client_secret=replace(secret, version=written))
    return replace(action, authentication=known), version


def _place(secret: Secret) -> str:
    return digest([secret.source, secret.name, *filter(None, [secret.json_key])], 8)


def secret_tag(secret: Secret) -> dict[str, str]:
    """The tag that says which secret was written."""
    return {tags.CLIENT_SECRET: f"{_place(secret)} {secret.version}".strip()}


async def adopt_secret(aws: Aws, item: Adopted, keep: Keep) -> Adopted:
    """The adopted resource with the tag of the entry's client secret, where that is to count as AWS's secret."""
    secret = secret_of(action_of(item.desired.state))
    if secret is None or not keep.secrets:
        return item
    known = replace(secret, version=await current_version(aws, secret))
    return replace(item, tags={**item.tags, **secret_tag(known)})


async def read_secret(run: Run, secret: Secret) -> tuple[str, Secret]:
    """The secret itself, for the call at hand, and its version. Raises RefusedError where it can't be read."""
    text, found = await _read(run, secret)
    mark(text)
    return text, found


async def _read(run: Run, secret: Secret) -> tuple[str, Secret]:
    if secret.source == "ssm":
        answer = await run.aws.call("ssm", "get_parameter", Name=secret.name, WithDecryption=True)
        return str(answer["Parameter"]["Value"]), replace(secret, version=str(answer["Parameter"]["Version"]))
    if secret.source == "secretsmanager":
        answer = await run.aws.call("secretsmanager", "get_secret_value", SecretId=secret.name)
        return _text_of(secret, answer), replace(secret, version=str(answer["VersionId"]))
    text = _local(secret)
    if problem := _problem(secret, text):
        raise RefusedError(f"the client secret can't be used: {problem}")
    return text or "", secret


def _text_of(secret: Secret, answer: Mapping[str, Any]) -> str:
    """The client secret in a secret of Secrets Manager. Raises RefusedError, which never shows the content."""
    text, place = answer.get("SecretString"), f"the secret {secret.name}"
    if text is None:
        raise RefusedError(f"{place} holds bytes, not text; store it as SecretString")
    if not secret.json_key:
        return str(text)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RefusedError(f"{place} isn't a JSON object; take json_key out, or correct the secret")
    value = found.get(secret.json_key)
    if not isinstance(value, str) or not value:
        raise RefusedError(f"{place} has no text under the key {secret.json_key}; correct json_key, or the secret")
    return value


def _local(secret: Secret) -> str | None:
    """The secret in the environment or a file, without the line break at its end; None where there is none."""
    if secret.source == "env":
        return os.environ.get(secret.name)
    try:
        return read_file(Path(secret.folder) / secret.name, _MOST).decode().rstrip("\r\n")
    except (OSError, ValueError):
        return None


def _problem(secret: Secret, text: str | None) -> str:
    if text:
        return ""
    if secret.source == "env":
        return f"the environment variable {secret.name} is {'empty' if text == '' else 'not set'}; set it"
    return f"the file {secret.name} is {'empty' if text == '' else 'not there, or can not be read as text'}; correct its name"


async def check_secret(aws: Aws, item: Intent, field: str) -> list[Finding]:
    """Findings about the client secret of a listener or rule that is to be made or changed."""
    secret = secret_of(getattr(item.wanted, field))
    if secret is None or (item.fields is not None and field not in item.fields):
        return []
    problem = _problem(secret, _local(secret)) if secret.source in ("env", "file") else await objection(aws, secret)
    return [Finding(item.desired, f"{field}.authenticate_oidc", problem)] if problem else []


def version_in(observed: Observed) -> str:
    """The version that the client secret of an observed listener or rule would have now."""
    return observed.details if isinstance(observed.details, str) else ""


async def action_with_secret(
    run: Run, wanted: Action, observed: Observed | None = None
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The action's parameters, with its client secret unless AWS has it, and the tags that say which secret it is."""
    secret = secret_of(wanted)
    is_kept = observed is not None and keeps_secret(wanted, observed)
    if secret is None or is_kept:
        return actions_to_aws(wanted, existing_secret=is_kept), {}
    text, written = await read_secret(run, secret)
    return actions_to_aws(wanted, text), secret_tag(written)


def keeps_secret(wanted: Action, observed: Observed) -> bool:
    """Whether AWS's present client secret stays."""
    before = action_of(observed.state).authentication
    if before is None or before.type != "authenticate-oidc":
        return False
    secret = secret_of(wanted)
    return secret is None or secret == before.client_secret
