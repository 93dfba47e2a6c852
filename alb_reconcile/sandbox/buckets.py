"""Makes objects in the local S3 that a stack names and doesn't declare: trust stores' files, buckets for logs, and what a user puts."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from moto.s3.models import s3_backends

from alb_reconcile.sandbox.client_authority import ClientAuthority, as_pem
from alb_reconcile.sandbox.strict.world import World

_LOG: Final = re.compile(r"(access|connection|health_check)_logs\.s3\.bucket")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SERVICE: Final = "logdelivery.elasticloadbalancing.amazonaws.com"


def make_buckets(world: World, named: list[tuple[str, str]], states: list[Any], folder: Path | None) -> Iterator[str]:
    """Make the missing objects and buckets; yield a line for what was made. A client's certificate is written to `folder`."""
    yield from _trust(world, [state for state in states if "ca_certificates_bundle_s3_key" in state], folder)
    for key, bucket in named:
        if _LOG.fullmatch(key) and _BUCKET.fullmatch(bucket) and _make_bucket(world, bucket):
            _let_logs_in(world, bucket)
            yield f"bucket {bucket} (Elastic Load Balancing may write logs to it)"


def store_object(world: World, bucket: str, key: str, content: bytes) -> str:
    """Store an object, and make its bucket, with versions, if that is missing. Returns the object's version; "null" without versions."""
    backend = s3_backends[world.account]["aws"]
    if _make_bucket(world, bucket):
        backend.put_bucket_versioning(bucket, "Enabled")
    return str(backend.put_object(bucket, key, content).version_id)


def _trust(world: World, stores: list[dict[str, Any]], folder: Path | None) -> Iterator[str]:
    """Make trust stores' files. All bundles contain the same CA, so that every trust store trusts one client certificate. An object version
    that a spec names can't be made."""
    authority = ClientAuthority("Sandbox clients")
    for store in stores:
        lists = [(bucket, key, authority.revoke()) for bucket, key, *_ in store.get("revocations") or ()]
        files = [
            (store["ca_certificates_bundle_s3_bucket"], store["ca_certificates_bundle_s3_key"], authority.pem),
            *lists,
        ]
        made = [f"s3://{bucket}/{key}" for bucket, key, text in files if _make_object(world, bucket, key, text)]
        if made:
            yield f"{', '.join(made)}{_issue(authority, folder)}"


def _issue(authority: ClientAuthority, folder: Path | None) -> str:
    if folder is None:
        return ""
    file = folder / "client.pem"
    certificate, key = authority.issue(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sandbox client")]))
    file.touch(mode=0o600)
    file.write_text(as_pem(certificate) + key, encoding="utf-8")
    return f" (a client's certificate and key: {file})"


def _make_object(world: World, bucket: str, key: str, text: str) -> bool:
    backend = s3_backends[world.account]["aws"]
    _make_bucket(world, bucket)
    if backend.head_object(bucket, key) is not None:
        return False
    backend.put_object(bucket, key, text.encode())
    return True


def _make_bucket(world: World, bucket: str) -> bool:
    backend = s3_backends[world.account]["aws"]
    if bucket in backend.buckets:
        return False
    backend.create_bucket(bucket, world.region)
    return True


def _let_logs_in(world: World, bucket: str) -> None:
    """Allow load balancers to write logs to a bucket (AWS ELB, 'Enable access logs for your Application Load Balancer', 'Attach a policy to
    your S3 bucket')."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": _SERVICE},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
    s3_backends[world.account]["aws"].put_bucket_policy(bucket, policy)
