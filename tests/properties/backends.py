"""What moto keeps beside EC2 and ELBv2, as it is at a moment, so that it can be put back: roles, certificates, buckets and records."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from moto.acm.models import acm_backends
from moto.core.resource_tagging import iter_taggable_backends
from moto.iam.models import iam_backends
from moto.route53.models import route53_backends
from moto.s3.models import FakeKey, s3_backends
from moto.s3.utils import _VersionedKeyStore

from alb_reconcile.sandbox.strict import acm
from alb_reconcile.sandbox.strict.inventory import FURTHER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def copied(account: str, region: str) -> dict[str, dict[str, Any]]:
    """A copy of each, by service, which nothing changes."""
    return {
        "iam": _identities(account),
        "acm": acm.copied(account, region),
        "s3": _buckets(account),
        "route53": {name: list(zone.rrsets) for name, zone in _zones(account).items()},
        **{name: copy.deepcopy(vars(backend)) for name, backend in _others(account, region)},
    }


def put_back(account: str, region: str, found: Mapping[str, dict[str, Any]]) -> None:
    """Let there be what a copy has, as often as needed."""
    iam, certificates, s3 = (
        vars(iam_backends[account]["aws"]),
        vars(acm_backends[account][region]),
        s3_backends[account]["aws"],
    )
    for name in s3.buckets:
        s3_backends.bucket_accounts.pop(name, None)
    for place, service in ((iam, "iam"), (certificates, "acm"), (vars(s3), "s3")):
        place.update(found[service])
    again = copied(account, region)
    for place, service in ((iam, "iam"), (certificates, "acm"), (vars(s3), "s3")):
        place.update(again[service])
    s3_backends.bucket_accounts.update({name: (item.partition, account) for name, item in s3.buckets.items()})
    for name, backend in _others(account, region):
        backend.reset()
        vars(backend).update(copy.deepcopy(found.get(name, {})))
    for name, records in found["route53"].items():
        vars(_zones(account)[name]).update(rrsets=list(records), strict_served=None, busy_until=0.0)


@contextmanager
def kept() -> Iterator[None]:
    """Meanwhile objects that are deleted can be put back: moto closes the files that it has them in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeKey, "dispose", lambda self, garbage=False: None)
        yield


def _identities(account: str) -> dict[str, Any]:
    """IAM's roles and instance profiles as they are now, with their tags; AWS's own policies stay where they are."""
    iam = iam_backends[account]["aws"]
    if not (iam.roles or iam.instance_profiles):
        return {"roles": {}, "instance_profiles": {}}
    memo: dict[int, Any] = {id(item): item for item in (iam, *iam.managed_policies.values())}
    names = ("roles", "instance_profiles", "inline_policies", "tagger")
    return {name: copy.deepcopy(getattr(iam, name), memo) for name in names}


def _buckets(account: str) -> dict[str, Any]:
    """S3's buckets with their tags, and their objects' versions, which never change."""
    s3, found = s3_backends[account]["aws"], {}
    for name, bucket in s3.buckets.items():
        found[name] = copy.copy(bucket)
        found[name].keys = _VersionedKeyStore()
        dict.update(found[name].keys, {key: [*versions] for key, versions in dict.items(bucket.keys)})
    return {"buckets": found, "tagger": copy.deepcopy(s3.tagger)}


def _others(account: str, region: str) -> Iterator[tuple[str, Any]]:
    """Services of which nothing else here knows."""
    for backend in iter_taggable_backends(account, region):
        if (name := backend.SERVICE_NAMESPACE) in FURTHER:
            yield name, backend


def _zones(account: str) -> dict[str, Any]:
    found: dict[str, Any] = route53_backends[account]["aws"].zones
    return found
