"""Makes the roles of other accounts that a fleet names."""

import json
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends


def make_roles(roles: list[dict[str, str]]) -> list[str]:
    """Make the missing roles, which the sandbox's own account may assume, each with its external id. Returns a line for each that was
    made; existing ones aren't changed."""
    made = []
    for item in roles:
        _, partition, _, _, account, name = item["arn"].split(":", 5)
        backend = iam_backends[account][partition]
        if any(role.arn == item["arn"] for role in backend.roles.values()):
            continue
        path, _, name = name.removeprefix("role").rpartition("/")
        backend.create_role(name, json.dumps(trust(item["external_id"])), f"{path}/", None, "", [], "3600")
        made.append(f"role {item['arn']}" + " (with its external id)" * bool(item["external_id"]))
    return made


def service_trust(service: str) -> dict[str, Any]:
    """A trust policy for a service, such as ec2.amazonaws.com."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust(external_id: str = "", account: str = DEFAULT_ACCOUNT_ID) -> dict[str, Any]:
    """A trust policy for an account, which requires an external id if one is given."""
    principal = {"AWS": f"arn:aws:iam::{account}:root"}
    condition = {"Condition": {"StringEquals": {"sts:ExternalId": external_id}}} if external_id else {}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **condition},
            {"Effect": "Allow", "Principal": principal, "Action": "sts:TagSession"},
        ],
    }
