"""What was meant by a word that isn't known."""

from __future__ import annotations

import pytest

from alb_reconcile.model.text import did_you_mean

ADDRESSES = ("security_group.web", "security_group.load-balancer", "vpc.main")
KEYS = ("min_healthy", "health_check", "protocol", "cidr_block")


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("vpc.mian", ADDRESSES, "vpc.main"),
        ("vcp.main", ADDRESSES, "vpc.main"),
        ("security_group.none", ADDRESSES, ""),
        ("security_group.wbe", ADDRESSES, "security_group.web"),
        ("helth", KEYS, "health_check"),
        ("cidr", KEYS, "cidr_block"),
        ("x" * 100_000, KEYS, ""),
        ("", KEYS, ""),
    ],
)
def test_the_nearest_is_named(word: str, known: tuple[str, ...], meant: str) -> None:
    assert did_you_mean(word, known) == (f"; did you mean {meant}?" if meant else "")
