"""VPC encryption controls: exclusions where they have a meaning, and gateways that enforcement keeps out."""

from typing import Final

from alb_reconcile.spec.outline import Outline

_GATEWAYS: Final = {
    "internet_gateways": "internet_gateway",
    "egress_only_internet_gateways": "egress_only_internet_gateway",
    "nat_gateways": "nat_gateway",
}


def check(outline: Outline) -> None:
    """Report what AWS would refuse."""
    for path, control in outline.mappings("vpcs", ..., "vpc_encryption_control"):
        for name, value in control.items():
            if value == "enable" and control.get("mode") == "monitor":
                outline.error(
                    (*path, name), "is for a VPC that enforces encryption; write mode: enforce, or leave it out"
                )
    for section, kind in _GATEWAYS.items():
        for name in outline.entries(section):
            vpc = outline.vpc_of(section, name)
            control = outline.entries("vpcs").get(vpc or "", {}).get("vpc_encryption_control") or {}
            if control.get("mode") == "enforce" and control.get(f"{kind}_exclusion") != "enable":
                outline.error(
                    ("vpcs", str(vpc), "vpc_encryption_control", "mode"),
                    f"keeps {kind}.{name} out; write {kind}_exclusion: enable as well, or remove the gateway",
                )
