"""What somebody has done to the tags that this tool keeps its books in: taken away, or written over. They are texts of others."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, ReconcileError
from tests.kinds.behind import tag, untag
from tests.kinds.example import example_of
from tests.properties.campaign import left_of, told
from tests.properties.examples import prepare
from tests.properties.neighbours import inventory
from tests.properties.scenes import ALLOW
from tests.properties.seeds import draw_from, sampled
from tests.properties.watched import OWNERSHIP, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.harness import Spec
    from tests.properties.watched import WatchedWorld

WRITINGS: tuple[Callable[[str], str | None], ...] = (
    lambda _: None,  # taken away
    lambda _: "",
    lambda _: "  ",
    lambda _: "é\x7f",
    lambda text: text[: len(text) // 2],
    lambda text: text[1:],
    lambda text: text[::-1],
    lambda text: f"{text} {text}",
    lambda text: f" {text}",
    lambda text: text.partition(" ")[0],
    lambda text: text.partition(":")[0] + ":",
    lambda text: text.translate(str.maketrans("0123456789", "9876543210")),
    lambda _: "0" * 256,
    lambda _: "x=:, x=:, -1",
)
"""What a tag says instead, by what it says."""


def deeds(world: WatchedWorld, random: Random) -> Iterator[tuple[str, str, str | None]]:
    """Resource, key, and what it says afterwards: one thing of each, at length all."""
    for physical_id, item in inventory(world).items():
        own = tags.from_list(item.get("Tags"))
        for key in sorted(key for key in own if key.startswith("alb-reconcile:")):
            told_otherwise = {text for write in WRITINGS if (text := write(own[key])) != own[key]}
            texts = sorted(told_otherwise, key=str)
            if ":s3:::" in physical_id:
                texts.remove("")  # which moto writes into the next key
            for text in random.sample(texts, 1):
                yield physical_id, key, None if text is None else text[:256]


@pytest.mark.parametrize("kind", sampled(load_kinds(), 10))
def test_a_tag_that_says_something_else_ends_no_run_without_words(kind: str) -> None:
    """Each run plans, or is refused; what `apply` does leaves nothing to do, or says why."""
    example = example_of(kind)
    wrong = []
    with watched() as world:
        prepare(kind)
        world.converge(example.spec, allow={**ALLOW, **example.allow})
        world.clock.advance(3600)
        kept = world.moment()
        for number, (physical_id, key, text) in enumerate(deeds(world, Random(len(kind)))):
            world.go_back(kept)
            draw_from(number)
            try:
                untag(world, physical_id, [key]) if text is None else tag(world, physical_id, {key: text})
            except AwsError:
                continue  # AWS has no such text there
            try:
                left = run(world, example.spec, {**ALLOW, **example.allow})
                assert not left or key in OWNERSHIP, left
            except Exception as error:  # whatever it is, all of them are told
                wrong.append(f"{physical_id}: {key}={text!r}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


def run(world: WatchedWorld, spec: Spec, allow: dict[str, int]) -> str:
    """Plan both ways, and apply. Returns what is left to do then."""
    for destroy in (False, True):
        try:
            world.plan(spec, destroy=destroy)
        except ReconcileError as error:
            told(error)
    try:
        return left_of(world.apply(spec, allow=allow))
    except ReconcileError as error:
        return told(error)
