"""Key pairs: their files, and keys that are given twice."""

import re
from typing import Final

from alb_reconcile.kinds.key_pair import MAX_KEY, key_name, public_key_of
from alb_reconcile.spec.checks.files import file_mistake
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.schema import resolved

_TOO_LARGE: Final = f"a public key has at most {MAX_KEY:,}: name the file with the public key"


def check(outline: Outline) -> None:
    """Report key pairs that can't be imported."""
    seen: dict[str, str] = {}
    for name, entry in outline.entries("key_pairs").items():
        path = ("key_pairs", name, "public_key_file")
        if "public_key_file" in entry:
            if mistake := file_mistake(outline.folder, entry["public_key_file"], MAX_KEY, _TOO_LARGE):
                outline.error(path, mistake)
                continue
            if not re.fullmatch(
                resolved("key_pair")["properties"]["public_key"]["pattern"], public_key_of(entry, outline)
            ):
                outline.error(path, "holds no public key in the format of OpenSSH; name a file such as id_ed25519.pub")
                continue
        elif "public_key" not in entry:
            continue
        if "stack" not in outline.data:
            continue
        if (known := seen.setdefault(key_name(name, outline), name)) != name:
            outline.error(
                ("key_pairs", name), f"would have the name of key_pairs.{known}; keep one of them", at_key=True
            )
