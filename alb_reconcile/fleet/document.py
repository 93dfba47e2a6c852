"""Loads fleet.yaml as a fleet, with a line and column for every mistake."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.aws.role import Role
from alb_reconcile.fleet.cells import Cell, Fleet, Source, Tolerance, Wave
from alb_reconcile.model.errors import Problem, SpecError
from alb_reconcile.model.files import read_start
from alb_reconcile.model.nodes import Node, render_path, shorten
from alb_reconcile.model.nodes import Path as Place
from alb_reconcile.model.text import parse_duration, text_of
from alb_reconcile.spec import schema
from alb_reconcile.spec.document import MAX_BYTES, DocumentError, find, parse, to_plain
from alb_reconcile.spec.variables import substitute

_ONLY_WAVE: Final = "all"
_S3: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*/?")
_MERGED: Final = ("session_tags", "variables")
"""Settings to which a group or an account adds, where it replaces others."""
Settings = dict[str, Any]


def load_fleet(file: str, variables: Mapping[str, str] | None = None) -> Fleet:
    """Read and check a fleet's file, but not its specs. `variables` outrank the environment.

    Raises SpecError with all mistakes at once.
    """
    return FleetFile(file, variables or {}).load()


class FleetFile:
    """A fleet's file that is read repeatedly, and parsed when it has changed."""

    def __init__(self, file: str, variables: Mapping[str, str]) -> None:
        self._file, self._variables = file, variables
        self._last: tuple[bytes, Fleet] | None = None

    def load(self) -> Fleet:
        """The fleet as the file is now. Raises SpecError with all mistakes at once."""
        try:
            data = read_start(self._file, MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SpecError(self._file, [Problem(1, 1, "", f"can't be read: {reason}; name a fleet's file")]) from None
        if self._last is None or self._last[0] != data:
            self._last = data, parse_fleet(data, self._file, {**os.environ, **self._variables})
        return self._last[1]


def is_fleet(file: str) -> bool:
    """Whether a file is a fleet's file, and not a spec; False where it can't be read."""
    try:
        found = to_plain(parse(read_start(file, MAX_BYTES + 1), "")[0])
    except (OSError, ValueError, DocumentError):
        return False
    return isinstance(found, dict) and "fleet" in found and "stack" not in found


def parse_fleet(data: bytes, file: str, variables: Mapping[str, str]) -> Fleet:
    """`load_fleet` for bytes that were already read. Raises SpecError."""
    try:
        root, problems = parse(data, "docs/fleet.md has an example")
    except DocumentError as error:
        raise SpecError(file, error.args) from None
    problems += substitute(root, variables).problems
    problems += schema.validate(root, schema.FLEET)[1]
    if problems:  # a document of another form can't be checked further
        raise SpecError(file, sorted(problems))
    reader = _Reader(root, file)
    fleet = reader.read()
    if reader.problems:
        raise SpecError(file, sorted(reader.problems))
    return fleet


class _Reader:
    """Makes a fleet from a document that has the right form, and notes contradictions."""

    def __init__(self, root: Node, file: str) -> None:
        self.root, self.file = root, file
        self.data: Settings = to_plain(root)
        self.problems: list[Problem] = []

    def read(self) -> Fleet:
        preferences = self.data.get("operation_preferences", {})
        self._check_place(("results",), self.data.get("results", ""))
        waves = tuple(self._waves(preferences))
        return Fleet(
            name=self.data["fleet"],
            file=self.file,
            cells=tuple(self._cells([wave.name for wave in waves])),
            waves=waves,
            results=self.data.get("results", ""),
            max_concurrent=preferences.get("max_concurrent", Wave.max_concurrent),
            sequential_regions=preferences.get("region_concurrency") == "sequential",
        )

    def _waves(self, preferences: Settings) -> Iterator[Wave]:
        seen: set[str] = set()
        for index, given in enumerate(self.data.get("waves", [{"name": _ONLY_WAVE}])):
            if given["name"] in seen:
                self._note(("waves", index, "name"), f'is the second wave called "{given["name"]}"; keep one')
            seen.add(given["name"])
            found = {**preferences, **given}
            yield Wave(
                found["name"],
                parse_duration(found["bake"]) if "bake" in found else 0,
                found.get("max_concurrent", Wave.max_concurrent),
                _tolerance(found.get("failure_tolerance", 0)),
            )

    def _cells(self, waves: list[str]) -> Iterator[Cell]:
        seen: dict[tuple[str, str], int] = {}
        for index, given in enumerate(self.data["accounts"]):
            path: Place = ("accounts", index)
            found = self._merged(given, path)
            if not self._has_all(found, path) or not self._has_wave(found, path, waves):
                continue
            _, place = find(self.root, (*path, "account_id"))
            for source in found["stacks"]:
                if isinstance(source, str):
                    self._check_place((*path, "stacks"), source)
            for region in found["regions"]:
                first = seen.setdefault((given["account_id"], region), place[0])
                if first != place[0]:
                    self._note(
                        (*path, "account_id"),
                        f"{given['account_id']} has {region} already (in line {first}); give one of them other regions, or merge them",
                    )
                    continue
                yield self._cell(found, region, waves, path, place)

    def _cell(self, found: Settings, region: str, waves: list[str], path: Place, place: tuple[int, int]) -> Cell:
        account = found["account_id"]
        return Cell(
            fleet=self.data["fleet"],
            account=account,
            region=region,
            wave=found.get("wave", waves[-1]),
            sources=tuple(map(_source, found["stacks"])),
            folder=Path(self.file).parent,
            name=found.get("name", ""),
            role=self._role(found, region, path),
            owner=found.get("owner", ""),
            schedule=parse_duration(found["schedule"]) if "schedule" in found else None,
            variables={
                **{name: text_of(value) for name, value in found.get("variables", {}).items()},
                "ACCOUNT_ID": account,
                "REGION": region,
            },
            regions=tuple(found["regions"]),
            place=place,
        )

    def _merged(self, given: Settings, path: Place) -> Settings:
        """An account's settings, over its group's, over the defaults."""
        groups = self.data.get("groups", {})
        if "group" in given and given["group"] not in groups:
            known = f"known: {', '.join(groups)}" if groups else "there are none; add groups"
            self._note((*path, "group"), f'there is no group "{given["group"]}"; {known}')
        layers = (self.data.get("defaults", {}), groups.get(given.get("group"), {}), given)
        merged: Settings = {}
        for layer in layers:
            merged |= layer
        for name in _MERGED:
            if parts := [layer[name] for layer in layers if name in layer]:
                merged[name] = {key: value for part in parts for key, value in part.items()}
        return merged

    def _check_place(self, path: Place, given: str) -> None:
        if given.startswith("s3:") and not _S3.fullmatch(given):
            self._note(path, f"{shorten(given)} is no place in S3; write s3://BUCKET/PREFIX")

    def _has_all(self, found: Settings, path: Place) -> bool:
        missing = [name for name in ("regions", "stacks") if name not in found]
        for name in missing:
            self._note((*path, "account_id"), f"has no {name}; add {name} to the account, its group or defaults", name)
        if found.get("role") is None:
            needs = [name for name in ("external_id", "session_tags") if name in found]
            for name in needs:
                self._note((*path, "account_id"), f"has {name} and no role; add role, or leave {name} out", "role")
            return not missing and not needs
        return not missing

    def _has_wave(self, found: Settings, path: Place, waves: list[str]) -> bool:
        wave = found.get("wave")
        if wave is None or wave in waves:
            return True
        known = f"known: {', '.join(waves)}" if "waves" in self.data else "there are none; add waves"
        self._note((*path, "wave"), f'there is no wave "{wave}"; {known}')
        return False

    def _role(self, found: Settings, region: str, path: Place) -> Role | None:
        named = found.get("role")
        if named is None:
            return None
        account = found["account_id"]
        arn = named if named.startswith("arn:") else f"arn:{partition_of(region)}:iam::{account}:role/{named}"
        role = Role(
            arn,
            f"alb-reconcile-{self.data['fleet']}"[:64],
            found.get("external_id", ""),
            {key: str(value) for key, value in found.get("session_tags", {}).items()},
        )
        if role.account != account:
            self._note(
                (*path, "account_id"),
                f"is {account}, but its role {arn} is in account {role.account}; correct one of them, or give the role's name only",
                "role",
            )
        return role

    def _note(self, path: Place, message: str, key: str = "") -> None:
        _, place = find(self.root, path)
        shown = (*path[:-1], key) if key else path
        problem = Problem(*place, render_path(shown), message)
        if problem not in self.problems:  # each region of an account would report the problem
            self.problems.append(problem)


def _source(given: str | Settings) -> Source:
    if isinstance(given, dict):
        return Source(given.get("path", ""), git=given["git"], ref=given.get("ref", ""))
    if given.startswith("s3://"):
        return Source("", s3=given.rstrip("/"))
    return Source(given)


def _tolerance(given: int | str) -> Tolerance:
    return Tolerance(percentage=int(given[:-1])) if isinstance(given, str) else Tolerance(given)
