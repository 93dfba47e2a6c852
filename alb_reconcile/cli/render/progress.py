"""A run as it happens: one line for each thing done, and what is being waited for."""

import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Final

from alb_reconcile.aws.throttle import Throttled
from alb_reconcile.cli.render.console import complain, emit, is_diverted
from alb_reconcile.cli.render.plan import show_duration
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.apply import Event, Outcome
from alb_reconcile.kinds.shown import short_id
from alb_reconcile.model.plan import Step
from alb_reconcile.model.text import printable

_EVERY: Final = 15.0
"""Seconds after which a wait that hasn't changed is mentioned again where there is no terminal."""


class Progress:
    """Prints events as they come. On a terminal, a last line says what runs now and for how long."""

    def __init__(self, style: Style, *, verbose: bool = False, speed: float = 1.0) -> None:
        self.style = style
        self.verbose = verbose
        self.speed = speed
        """How much faster than the wall's clock AWS's runs; all times are shown on AWS's."""
        self.live = sys.stdout.isatty() and not verbose and not is_diverted()
        self.running: dict[str, tuple[Step, float, str]] = {}
        self._said: dict[str, tuple[str, float]] = {}
        self._footer = False

    def __call__(self, event: Event) -> None:
        """Take an event."""
        key, text = event.step.key, _brief(event.text)
        if event.what in ("started", "waiting"):
            since = self.running.get(key, (event.step, time.monotonic(), ""))[1]
            self.running[key] = (event.step, since, text)
            if event.what == "started" and self.verbose:
                complain(f"  {event.step.address} started ({event.step.action})")
            if event.what == "waiting" and not self.live:
                self._mention(key, f"  {event.step.address} waits for {text} ({event.elapsed:.0f} s)", text)
        else:
            self.running.pop(key, None)
            self._line(_describe(event, self.style))
        self.tick()

    def waiting(self, text: str) -> None:
        """Something that is waited for outside of any step."""
        text = _brief(text)
        self._mention(text.partition("(")[0], f"  waits for {text}", text)

    def tick(self) -> None:
        """Renew the last line."""
        if not self.live or not self.running:
            return
        now = time.monotonic()
        alone = len(self.running) == 1
        parts = [
            f"{step.address} {(now - since) * self.speed:.0f} s{f' ({text})' if text and alone else ''}"
            for step, since, text in self.running.values()
        ]
        width = shutil.get_terminal_size().columns - 1
        text = f"  … {len(parts)} running: {', '.join(parts)}"
        sys.stdout.write("\r\x1b[K" + self.style.paint(text[:width], "dim"))
        sys.stdout.flush()
        self._footer = True

    def close(self) -> None:
        """Take the last line away."""
        if self._footer:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
            self._footer = False

    def _mention(self, key: str, line: str, text: str) -> None:
        said, when = self._said.get(key, ("", 0.0))
        now = time.monotonic()
        if said.partition("(now")[0] != text.partition("(now")[0] or now - when > _EVERY:
            self._said[key] = (text, now)
            self._line(self.style.paint(line, "dim"))

    def _line(self, text: str) -> None:
        self.close()
        emit(text)


def _brief(text: str) -> str:
    """What is waited for, without AWS's words for the usual."""
    return printable(re.sub(r"\(now initial .*\)$", "(now initial)", text))


def _describe(event: Event, style: Style) -> str:
    step = event.step
    if event.what == "done":
        word = f"{step.action}d"
        if step.part_of is not None:
            word = f"old {step.address.kind.replace('_', ' ')} deleted {short_id(step.id or '')}"
        elif step.action in ("create", "replace") and step.state and step.state.service:
            word += "" if event.text.startswith("arn:") else f" {printable(event.text)}"
        return f"  {style.paint('✓', 'green')} {step.address} {word} ({event.elapsed:.1f} s)"
    if event.what == "skipped":
        return f"  {style.paint('·', 'dim')} {step.address} skipped: it needs {event.text}"
    if event.what == "interrupted":
        return f"  {style.paint('·', 'dim')} {step.address} {event.text}"
    return f"  {style.paint('✗', 'red')} {step.address} failed after {event.elapsed:.1f} s: {event.text}"


def render_outcomes(outcomes: Iterable[Outcome]) -> str:
    """How a run ended that didn't end well: what was done, what failed and what that made impossible."""
    ended = list(outcomes)
    failed = [item for item in ended if item.how == "failed"]
    lines = [
        f"{sum(item.how == 'done' for item in ended)} of {len(ended)} steps done, {len(failed)} failed, {sum(item.how in ('skipped', 'interrupted') for item in ended)} not done."
    ]
    for item in failed:
        lines.append(f"  {item.step.address}: {item.error}")
        victims = [str(other.step.address) for other in ended if other.cause is item.step]
        if victims:
            lines.append(f"    not done because of it: {', '.join(dict.fromkeys(victims))}")
    causes = {item.step.key for item in failed}
    stopped = [item for item in ended if item.how == "interrupted" or (item.cause and item.cause.key not in causes)]
    if stopped:
        lines.append(f"  interrupted: {', '.join(dict.fromkeys(str(item.step.address) for item in stopped))}")
    lines.append("Nothing is rolled back; run the same command again to continue.")
    return "\n".join(lines)


def render_times(times: Mapping[str, float], entrance: object = None) -> str:
    """When a run got where, in one line."""
    notes = {"ready": f": first healthy target behind {entrance}", "answered": ": first request"}
    parts = (f"{name} after {show_duration(max(round(at), 1))}{notes.get(name, '')}" for name, at in times.items())
    line = "; ".join(parts)
    return f"{line[:1].upper()}{line[1:]}."


def render_calls(calls: Mapping[str, int], throttled: Mapping[str, Throttled]) -> str:
    """How many API calls were made, and which; on a line of its own what AWS has throttled."""
    each = ", ".join(f"{count} {name}" for name, count in sorted(calls.items()))
    more = f"\n{render_throttled(throttled)}" if throttled else ""
    return f"{sum(calls.values())} API calls{': ' + each if each else ''}{more}"


def render_throttled(throttled: Mapping[str, Throttled]) -> str:
    """What AWS has throttled: how often, and when last."""
    each = (f"{name} {item.count} ×, last at {item.last}" for name, item in sorted(throttled.items()))
    return f"AWS throttled {'; '.join(each)}"
