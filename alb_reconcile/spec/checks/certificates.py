"""Certificates: files that don't belong together, names outside of their zone, listeners without a default one."""

from typing import Final

from alb_reconcile.kinds._zones import is_within, name_in, zone_text
from alb_reconcile.kinds.base import Entry
from alb_reconcile.kinds.certificate.pem import MAX_FILE, PemError, key_mistake, read_certificate
from alb_reconcile.kinds.certificate.serving import misnamed
from alb_reconcile.model.nodes import Path, shorten
from alb_reconcile.spec.checks.files import file_mistake
from alb_reconcile.spec.outline import Outline

_FILES = ("certificate", "private_key", "certificate_chain")
_TOO_LARGE = "no certificate is that large: name the file with the certificate"
_NAMES = 10
"""AWS's quota of names of a certificate (L-FB94F0B0), where it wasn't raised."""
LONGEST_FIRST: Final = 64
"""RequestCertificate, DomainName: RFC 5280 has no longer common names."""
_MOST = 25
"""AWS's quota of certificates of a load balancer, default ones not counted."""


def check(outline: Outline) -> None:
    """Report certificates that couldn't be made, and listeners that couldn't use them."""
    for name, entry in outline.entries("certificates").items():
        path: Path = ("certificates", name)
        if "domain_name" in entry:
            _check_names(outline, path, entry)
        else:
            _check_files(outline, path, entry)
    for path, listener in outline.listeners:
        _check_listener(outline, path, listener)
        _check_hosts(outline, path, listener)


def _check_names(outline: Outline, path: Path, entry: Entry) -> None:
    names = [((*path, "domain_name"), entry["domain_name"])]
    names += outline.texts(*path, "subject_alternative_names", ...)
    if isinstance(first := entry["domain_name"], str) and len(first) > LONGEST_FIRST:
        outline.error(
            names[0][0],
            f"has {len(first)} characters, and ACM takes {LONGEST_FIRST} of a certificate's first name; put a shorter name first",
        )
    seen: set[str] = set()
    for place, name in names:
        if name.lower() in seen:
            outline.error(place, f"{name} is given twice; remove it here")
        seen.add(name.lower())
    if len(names) > _NAMES:
        outline.warn(
            path,
            f"has {len(names)} names, and AWS takes {_NAMES} unless the account's quota is higher; make two certificates of it",
        )
    zone = name_in(zone_text(entry["zone"])) if isinstance(entry.get("zone"), str) else ""
    for place, name in names:
        if zone and not is_within(name.removeprefix("*."), zone):
            outline.error(
                place, f"{name} isn't in zone {zone}; name the zone that it is in, or give it a certificate of its own"
            )


def _check_files(outline: Outline, path: Path, entry: Entry) -> None:
    given = {key: entry[key]["file"] for key in _FILES if isinstance(entry.get(key), dict) and "file" in entry[key]}
    sound = True
    for key, name in given.items():
        mistake = file_mistake(outline.folder, name, MAX_FILE, _TOO_LARGE)
        if mistake is None and key != "private_key":
            mistake = _pem_mistake(outline, name)
        if mistake is not None:
            outline.error((*path, key, "file"), mistake)
            sound = False
    if sound and {"certificate", "private_key"} <= given.keys():
        mistake = key_mistake(outline.folder / given["certificate"], outline.folder / given["private_key"])
        if mistake:
            outline.error((*path, "private_key", "file"), f"{shorten(given['private_key'])} {mistake}")


def _pem_mistake(outline: Outline, name: str) -> str | None:
    try:
        found = read_certificate((outline.folder / name).read_bytes())
    except PemError as error:
        return f"{shorten(name)} {error}; correct it"
    if not found.key_algorithm:
        return (
            f"{shorten(name)} has a key of a sort that ACM doesn't take; use RSA, or ECDSA with P-256, P-384 or P-521"
        )
    return None


def _check_listener(outline: Outline, path: Path, listener: Entry) -> None:
    given = listener.get("certificates")
    if given is None or listener.get("protocol") != "HTTPS":
        return
    place = (*path, "certificates")
    if "certificate_arn" in outline.given(path):
        if len(given) > _MOST:
            outline.error(
                place, f"has {len(given)} entries beside certificate_arn; AWS takes {_MOST} for a load balancer"
            )
    elif not given:
        outline.error(place, "is empty, and HTTPS needs a certificate; name one, or give certificate_arn")


def _check_hosts(outline: Outline, path: Path, listener: Entry) -> None:
    """Rules' hosts and what the stack requests for them; plan asks ACM for the names of any other certificate."""
    wanted = [*filter(None, [listener.get("certificate_arn")]), *(listener.get("certificates") or ())]
    own, given = outline.entries("certificates"), (*path, "rules", ..., "conditions", ..., "host_header")
    entries = [own.get(ref, {}) if isinstance(ref, str) else {} for ref in wanted]
    if wanted and all("domain_name" in entry for entry in entries):
        names = {name for item in entries for name in (item["domain_name"], *item.get("subject_alternative_names", ()))}
        hosts = {host for _, host in (*outline.texts(*given), *outline.texts(*given, ...))}
        if text := misnamed(len(wanted), names, hosts):
            outline.warn((*path, "certificate_arn" if "certificate_arn" in listener else "certificates"), text)
