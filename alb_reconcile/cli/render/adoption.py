"""Renders what `adopt`, `forget` and `move` are about to do, as text and as JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from alb_reconcile.adoption.adopt import Adoption
from alb_reconcile.adoption.forget import Forgetting
from alb_reconcile.adoption.move import Move
from alb_reconcile.adoption.preview import Preview
from alb_reconcile.adoption.tagging import Tagging
from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from alb_reconcile.kinds.display import id_and_name, short_id
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.plan import plain
from alb_reconcile.model.text import printable


def adoption_text(found: Adoption, style: Style) -> str:
    """Each match with how it was found, what is missing, and what the next apply would change, as text."""
    lines = [_title(found.target, found.preview.account, style), ""]
    width = max((len(str(match.address)) for match in found.matches), default=0)
    for match in found.matches:
        name = style.paint(f"{match.address!s:<{width}}", "green")
        item, stack = match.found.found, found.target.stack
        known = short_id(item.id)
        if item.tags.get("Name", "") not in match.how:
            known = id_and_name(item.id, item.tags, match.address, stack)
        lines.append(f"  = {name}  {known}   by {match.how}")
    lines += [f"  + {address}   nothing found: apply would create it" for address in found.missing]
    if found.missing:
        lines.append(f"    if one of them exists, give its id, such as {found.missing[0]}=ID")
    if found.held:
        lines.append(f"  {len(found.held)} of the spec's entries already belong to the stack.")
    lines += ["", *_notes(found.notes, style)]
    if found.matches:
        lines += _preview("After that, apply would do this:", found.preview, style)
        lines.append("Adopting changes tags only.")
    else:
        lines.append("There is nothing to adopt.")
        rest = "The next apply only writes tags, which say that the spec is applied: run it once."
        rest = rest if found.preview.applied else "The next apply has nothing to do."
        lines += _preview("The next apply would do this:", found.preview, style, rest=rest)
    return "\n".join(lines)


def adoption_json(found: Adoption) -> str:
    """An adoption as JSON, in stable order."""
    written = {item.address: item for item in found.taggings}
    return _dump(
        found.target,
        found.preview.account,
        found.preview,
        adopted=[
            {
                "address": str(match.address),
                "id": match.found.found.id,
                "found_by": match.how,
                "tags": dict(sorted(written[match.address].write.items())),
                **_differences(found.preview, str(match.address), match.found.found.id),
            }
            for match in found.matches
        ],
        held=[str(address) for address in found.held],
        missing=[str(address) for address in found.missing],
        notes=list(found.notes),
    )


def forgetting_text(found: Forgetting, style: Style) -> str:
    """The resources that are forgotten, and the consequences, as text."""
    lines = [_title(found.target, found.account, style), ""]
    lines += [f"  o {printable(str(item.address))}  {_known(item, found)}" for item in found.taggings]
    if not found.taggings:
        return "\n".join([*lines, *_notes(found.notes, style)]).rstrip()
    lines += ["", *_notes(found.notes, style)]
    if found.preview is not None:
        lines += _preview("With the spec as it is, the next apply would do this:", found.preview, style)
    handed = [
        f"{item.address}={item.id}"
        for item in found.taggings
        if not (found.whole or item.address in found.target.desired or found.found[item.id].state.parent)
    ]
    if handed:
        lines.append(f"If another spec is to have it: {advised('adopt', 'SPEC', *handed)}")
    lines.append("Forgetting removes alb-reconcile's tags and changes nothing else: nothing is stopped or deleted.")
    return "\n".join(lines)


def forgetting_json(found: Forgetting) -> str:
    """The resources that are forgotten as JSON, in stable order."""
    forgotten = [{"address": str(item.address), "id": item.id} for item in found.taggings]
    return _dump(found.target, found.account, found.preview, forgotten=forgotten, notes=list(found.notes))


def move_text(found: Move, style: Style) -> str:
    """Which resource gets which address, and what the next apply would change, as text."""
    lines = [_title(found.target, found.preview.account, style), ""]
    lines += [
        f"  {printable(str(old))} → {printable(str(item.address))}  {_known(item, found, old)}"
        for old, item in found.moves
    ]
    if not found.moves:
        return "\n".join([*lines, *_notes(found.notes, style)]).rstrip()
    lines += ["", *_notes(found.notes, style)]
    lines += _preview("After that, apply would do this:", found.preview, style)
    lines.append("Moving changes tags only.")
    return "\n".join(lines)


def move_json(found: Move) -> str:
    """A move as JSON, in stable order."""
    moves = [{"from": str(old), "to": str(item.address), "id": item.id} for old, item in found.moves]
    return _dump(found.target, found.preview.account, found.preview, moved=moves, notes=list(found.notes))


def _known(item: Tagging, found: Forgetting | Move, before: Address | None = None) -> str:
    there = found.found[item.id]
    return id_and_name(item.id, there.tags, before or item.address, found.target.stack)


def _title(target: DesiredStack, account: str, style: Style) -> str:
    return style.paint(f"{target.stack} · {target.region} · account {account}", "bold")


def _notes(notes: Sequence[str], style: Style) -> Iterator[str]:
    for note in notes:
        yield style.paint(f"Warning: {printable(note)}", "yellow")
    if notes:
        yield ""


def _preview(
    title: str, preview: Preview, style: Style, *, rest: str = "After that, apply has nothing to do."
) -> Iterator[str]:
    if preview.plan is None:
        yield style.paint(f"Warning: after that, apply would be refused: {preview.refusal}", "red")
        return
    if preview.plan.is_empty:
        yield rest
        return
    yield title
    yield ""
    yield from render_plan(preview.plan, style, notice="").split("\n")[2:]
    for step in preview.plan.steps:
        name = f"{printable(str(step.address))} ({short_id(step.id or '')})"
        if step.action == "replace":
            forced = ", ".join(change.path for change in step.changes) or step.reason
            yield style.paint(f"Warning: apply would REPLACE {name}: {forced}", "red")
        elif step.action == "delete" and step.part_of is None:
            yield style.paint(f"Warning: apply would DELETE {name}: {step.reason}", "red")
    yield ""


def _differences(preview: Preview, address: str, physical_id: str) -> dict[str, Any]:
    steps = [
        step
        for step in (preview.plan.steps if preview.plan else ())
        if str(step.address) == address and step.id == physical_id and step.part_of is None
    ]
    return {
        "differences": [
            {"path": item.path, "before": plain(item.before), "after": plain(item.after)}
            for step in steps
            for item in step.changes
        ],
        "replaced_by_apply": any(step.action == "replace" for step in steps),
    }


def _dump(target: DesiredStack, account: str, preview: Preview | None, **parts: Any) -> str:
    plan = json.loads(preview.plan.to_json()) if preview and preview.plan else None
    data = {
        "version": 1, "stack": target.stack, "region": target.region, "account": account,
        **parts, "refused": preview.refusal if preview else "", "next_plan": plan,
    }  # fmt: skip
    return json.dumps(data, indent=2, ensure_ascii=False)
