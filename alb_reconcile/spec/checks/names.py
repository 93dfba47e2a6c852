"""Checks names and references: files without entries, dangling references, ids of the wrong kind, names that would collide."""

from collections.abc import Container, Mapping
from difflib import get_close_matches
from itertools import islice

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.identifiers import describe_id, is_aws_id, is_id_of
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.resource import field_names
from alb_reconcile.spec.outline import Outline
from alb_reconcile.spec.schema import SECTIONS, resolved


def check(outline: Outline) -> None:
    """Report a file without entries, and names that can't be resolved or that collide."""
    if outline.is_sound and not any(map(outline.entries, SECTIONS)):
        told = f"has no entry (is the spec cut short?); add one, or use destroy --stack {outline.stack} to remove the stack"
        outline.error(("stack",), told)
    _check_references(outline)
    _check_entry_names(outline)
    _check_physical_names(outline)
    _check_tags(outline)
    _check_region(outline)


def _check_references(outline: Outline) -> None:
    comparisons = 20_000  # a large file with many mistakes gets its suggestions for the first of them
    for path, kind, target in outline.references:
        section = load_kinds()[kind].section
        if is_aws_id(target):
            if not is_id_of(kind, target):
                outline.error(
                    path,
                    f'"{target}" can\'t name this; give it {describe_id(load_kinds()[kind])} or the name of an entry under {section}',
                )
        elif not isinstance(outline.data.get(section), dict) or target not in outline.data[section]:
            if outline.is_misnamed(section):
                continue
            names = outline.entries(section)
            near = get_close_matches(target, names, 1, 0.6) if comparisons > 0 else []
            comparisons -= len(names)
            known = f"; known: {', '.join(islice(names, 8))}" if names else f"; there are no {section} in this file"
            if is_id_of(kind, target):
                known = "; an id has 8 or 17 hex digits after its prefix"
            hint = f"; did you mean {near[0]}?" if near else known
            outline.error(path, f'there is no "{target}" under {section}{hint}')


def _check_entry_names(outline: Outline) -> None:
    for path, _ in outline.named:
        if is_aws_id(str(path[-1])):
            outline.error(
                path,
                f'"{path[-1]}" looks like an AWS id, which a reference would take literally; choose another name',
                at_key=True,
            )


def _check_physical_names(outline: Outline) -> None:
    for kind in load_kinds().values():
        section = kind.section
        if "name" not in field_names(kind.properties) or not kind.properties.unique_names:
            continue
        seen: dict[tuple[str | None, str], str] = {}
        for path, physical in outline.texts(section, ..., "name"):
            name = str(path[1])
            first = seen.setdefault(kind.scope_of(name, physical, outline), name)
            if first != name:
                outline.error(
                    path,
                    f'"{physical}" is also the name of {section}.{first}, and AWS requires unique names; choose another',
                )


def _check_tags(outline: Outline) -> None:
    """Report more tags than AWS takes, and tags that an entry leaves out though the stack doesn't have them."""
    found = outline.data.get("tags")
    common = found if isinstance(found, dict) else {}
    kept = len({name for given in outline.filled.given.values() for name in given})
    _check_values(outline, ("tags",), common, ())
    if kept:
        _count_tags(outline, ("tags",), common, kept)
    for path, entry in outline.named:
        tags = entry.get("tags")
        if isinstance(tags, dict):
            _check_values(outline, (*path, "tags"), tags, common)
            _count_tags(outline, (*path, "tags"), common | tags, kept)


def _count_tags(outline: Outline, path: Path, tags: Mapping[str, object], kept: int) -> None:
    """Report more tags than there is room for. Each variable of `user_data_values` takes one: of instances, and of what outlives them."""
    count = sum(value is not None for value in tags.values()) + kept
    if count > 40:
        those = f" and one for each of the {kept} variables of user_data_values" if kept else ""
        outline.error(
            path,
            f"with the stack's tags{those} these are {count}; AWS allows 50 and ten are reserved for this tool: remove some",
        )


def _check_values(outline: Outline, path: Path, tags: Mapping[str, object], common: Container[str]) -> None:
    for key, value in tags.items():
        if value is None and key not in common:
            outline.error(
                (*path, key),
                "is empty; give it a value, or leave the key out (null leaves out a tag that the stack has)",
            )


def _check_region(outline: Outline) -> None:
    known = resolved("stack")["properties"]["region"]["examples"]
    if outline.region and outline.region not in known:
        near = " or ".join(get_close_matches(outline.region, known, 2, 0.8))
        hint = f"; did you mean {near}?" if near else ""
        outline.warn(("region",), f"this version knows no region {outline.region}, though it may be a newer one{hint}")
