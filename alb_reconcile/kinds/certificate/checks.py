"""Checks certificates of a spec: whether their files belong together, and whether their names are in their zone."""

from alb_reconcile.kinds._zones import LONGEST_FIRST, is_within, name_in, zone_text
from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.certificate.pem import MAX_FILE, PemError, key_mistake, read_certificate
from alb_reconcile.model.files import file_mistake
from alb_reconcile.model.nodes import Path, shorten

_FILES = ("certificate", "private_key", "certificate_chain")
_TOO_LARGE = "no certificate is that large: name the file with the certificate"
_NAMES = 10
"""AWS's default quota of names of a certificate (L-FB94F0B0)."""


def check_entries(around: Around) -> None:
    """Report certificates that couldn't be made."""
    for name, entry in around.entries("certificates").items():
        path: Path = ("certificates", name)
        if "domain_name" in entry:
            _check_names(around, path, entry)
        else:
            _check_files(around, path, entry)


def _check_names(around: Around, path: Path, entry: Entry) -> None:
    names = [((*path, "domain_name"), entry["domain_name"])]
    names += around.texts(*path, "subject_alternative_names", ...)
    if isinstance(first := entry["domain_name"], str) and len(first) > LONGEST_FIRST:
        text = f"has {len(first)} characters, and ACM takes {LONGEST_FIRST} of a certificate's first name; put a shorter name first"
        around.error(names[0][0], text)
    seen: set[str] = set()
    for place, name in names:
        if name.lower() in seen:
            around.error(place, f"{name} is given twice; remove it here")
        seen.add(name.lower())
    if len(names) > _NAMES:
        text = f"has {len(names)} names, and AWS takes {_NAMES} unless the account's quota is higher; make two certificates of it"
        around.warn(path, text)
    zone = name_in(zone_text(entry["zone"])) if isinstance(entry.get("zone"), str) else ""
    for place, name in names:
        if zone and not is_within(name.removeprefix("*."), zone):
            text = f"{name} isn't in zone {zone}; name the zone that it is in, or give it a certificate of its own"
            around.error(place, text)


def _check_files(around: Around, path: Path, entry: Entry) -> None:
    given = {key: entry[key]["file"] for key in _FILES if isinstance(entry.get(key), dict) and "file" in entry[key]}
    sound = True
    for key, name in given.items():
        mistake = file_mistake(around.folder, name, MAX_FILE, _TOO_LARGE)
        if mistake is None and key != "private_key":
            mistake = _pem_mistake(around, name)
        if mistake is not None:
            around.error((*path, key, "file"), mistake)
            sound = False
    if sound and {"certificate", "private_key"} <= given.keys():
        mistake = key_mistake(around.folder / given["certificate"], around.folder / given["private_key"])
        if mistake:
            around.error((*path, "private_key", "file"), f"{shorten(given['private_key'])} {mistake}")


def _pem_mistake(around: Around, name: str) -> str | None:
    try:
        found = read_certificate((around.folder / name).read_bytes())
    except PemError as error:
        return f"{shorten(name)} {error}; correct it"
    if not found.key_algorithm:
        return (
            f"{shorten(name)} has a key of a sort that ACM doesn't take; use RSA, or ECDSA with P-256, P-384 or P-521"
        )
    return None
