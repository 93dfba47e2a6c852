"""In which VPC things are: given or implied, and the same for what refers to each other."""

from itertools import groupby
from typing import Final

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.identifiers import is_aws_id
from alb_reconcile.model.lookup import Lookup
from alb_reconcile.model.resource import field_names
from alb_reconcile.spec.outline import Outline

_WHOLE: Final = {"target_group": "the load balancer", "instance": "the target group"}
"""What an error calls the holder of a reference to such a kind; any other is `this`."""
_NONE: Final = "give a VPC's id, look one up (vpc: {tag: {Name: shared}}), or declare one under vpcs"


def check(outline: Outline) -> None:
    """Report entries whose VPC can't be known, and references from one VPC into another."""
    _check_implied(outline)
    _check_references(outline)


def _check_implied(outline: Outline) -> None:
    vpcs = list(outline.entries("vpcs"))
    within = [kind for kind in load_kinds().values() if kind.section and "vpc" in field_names(kind.properties)]
    for kind in within:
        section = kind.section
        for name, entry in outline.entries(section).items():
            if not kind.is_in_vpc(entry):
                continue
            given = outline.given((section, name))
            if not given.keys().isdisjoint(("vpc", "subnet")) or len(vpcs) == 1 or outline.vpc_of(section, name):
                continue
            if outline.is_misnamed("vpcs"):
                continue
            choice = f"say which: {', '.join(vpcs[:8])}" if vpcs else _NONE
            outline.error(
                (section, name, "vpc"), f"is missing, and the file has {len(vpcs) or 'no'} VPCs; {choice}", at_key=True
            )


def _check_references(outline: Outline) -> None:
    for (section, name), references in groupby(outline.references, lambda reference: reference.path[:2]):
        vpc = outline.vpc_of(str(section), str(name))
        for path, kind, target in references:
            other = outline.vpc_of(load_kinds()[kind].section, target) if kind != "vpc" else None
            if isinstance(vpc, Lookup) or isinstance(other, Lookup):
                continue  # two may lead to one
            if vpc and other and vpc != other and is_aws_id(vpc) == is_aws_id(other):
                here = f"this is in {vpc}; choose one in the same VPC"
                if kind in _WHOLE:
                    here = f"{_WHOLE[kind]} is in {vpc}; both must be in one"
                outline.error(path, f"{target} is in the VPC {other}, but {here}")
