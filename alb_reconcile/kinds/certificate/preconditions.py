"""Checks before a plan what prevents certificates: a zone that isn't the right one, names outside of it, files that have expired."""

from datetime import UTC, datetime
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds._zones import ZoneError, find_zone, is_within, name_in
from alb_reconcile.kinds.base import Intent
from alb_reconcile.kinds.certificate.pem import PemError, read_certificate
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError


async def check_certificate(aws: Aws, item: Intent) -> list[Finding]:
    """Findings about the zone of a requested certificate, or the dates of an imported one."""
    wanted: Any = item.wanted
    if wanted.certificate is not None:
        return _check_dates(item, wanted)
    if wanted.zone is None or not (item.fields is None or item.fields & {"zone", "status"}):
        return []
    try:
        zone = await find_zone(aws, wanted.zone)
    except ZoneError as error:
        name = name_in(wanted.zone)
        return [Finding(item.desired, "zone", _private(name) if "isn't public" in str(error) else str(error))]
    except AwsError as error:
        if "AccessDenied" not in error.code:
            raise
        return []
    if zone.is_private:
        return [Finding(item.desired, "zone", _private(f"{zone.id} ({zone.name})"))]
    outside = [name for name in wanted.names if not is_within(name.removeprefix("*."), zone.name)]
    path = "domain_name" if wanted.domain_name in outside else "subject_alternative_names"
    text = f"{', '.join(outside)}: not in zone {zone.name}; name the zone that it is in, or give it a certificate of its own"
    return [Finding(item.desired, path, text)] if outside else []


def _private(zone: str) -> str:
    return (
        f"hosted zone {zone} is private, and ACM can't validate names there; name a public zone; or leave zone out, use a certificate that "
        "exists (by its ARN, or {domain: …}), and write the names out under records"
    )


def _check_dates(item: Intent, wanted: Any) -> list[Finding]:
    if not (item.fields is None or "certificate" in item.fields):
        return []
    try:
        read = read_certificate(wanted.certificate.read())
    except (OSError, PemError) as error:
        return [Finding(item.desired, "certificate", f"can't be read: {error}; correct the file")]
    now = datetime.now(UTC)
    if read.not_after <= now:
        return [
            Finding(
                item.desired, "certificate", f"it ended on {read.not_after:%Y-%m-%d}; put a newer one into the file"
            )
        ]
    if read.not_before > now:
        return [
            Finding(
                item.desired,
                "certificate",
                f"it isn't valid before {read.not_before:%Y-%m-%d %H:%M} UTC; wait until then",
            )
        ]
    return []
