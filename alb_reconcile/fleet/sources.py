"""The specs of a cell: from the fleet's own folder, a place in S3, or a git checkout; each source is fetched once."""

import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from alb_reconcile.api.session import Session, connect
from alb_reconcile.aws.dry_run import Transport
from alb_reconcile.fleet.cells import Cell, Source
from alb_reconcile.model.errors import AwsError, Problem, ReconcileError, SpecError, UsageError
from alb_reconcile.model.policy import Policy
from alb_reconcile.model.text import printable
from alb_reconcile.spec.document import MAX_BYTES
from alb_reconcile.spec.stack import Stack, load_policy, load_stack
from alb_reconcile.sync.targets import Broken, Targets, load_targets

_GIT_TIMEOUT: Final = 120
"""Seconds for each call of the git program."""
_MOST_OBJECTS: Final = 1000
"""Specs below one place in S3."""
_ENDINGS: Final = (".yaml", ".yml")


class SourceError(UsageError):
    """A source that can't be fetched; the text says why and what to do."""


@dataclass(frozen=True)
class Sources:
    """Fetches sources, each once while it lives. `folder`: where copies are kept; `session` asks S3, as whoever runs this.

    `variables` outrank a cell's own; `policy` is a file of further limits.
    """

    folder: Path
    session: Session
    variables: Mapping[str, str] = field(default_factory=dict)
    policy: str | None = None
    _found: dict[tuple[Source, Path], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, cell: Cell) -> Targets:
        """The stacks of a cell, and whatever keeps others from being used. May wait for git and S3: call it in a thread."""
        places, lost = [], []
        for source in cell.sources:
            try:
                places.append(self._place(source, cell))
            except ReconcileError as error:
                lost.append(Broken(str(source), str(error), is_spec=False))
        found = load_targets(places, lambda file: self._load(file, cell), self._policy)
        return Targets(found.stacks, (*lost, *found.broken))

    def _policy(self) -> Policy:
        return load_policy(self.policy, self.variables) if self.policy else Policy()

    def _load(self, file: str, cell: Cell) -> Stack | None:
        """One spec; None for one that is meant for another of the account's regions. Raises SpecError."""
        variables = {**cell.variables, **self.variables}
        stack = load_stack(file, variables)
        if stack.region is None:
            return load_stack(file, variables, cell.region)
        if stack.region == cell.region:
            return stack
        if stack.region in cell.regions or cell.region != cell.regions[0]:
            return None  # it belongs to another cell, or the account's first one tells of it
        raise SpecError(
            file,
            [
                Problem(
                    *stack.place,
                    "region",
                    f"is {stack.region}, which isn't among the regions of {cell.account} in the fleet ({', '.join(cell.regions)}); add it there, "
                    "or leave region out",
                )
            ],
        )

    def _place(self, source: Source, cell: Cell) -> str:
        """Where a source is on this machine. Raises ReconcileError."""
        with self._lock:
            key = source, cell.folder
            if key not in self._found:
                self._found[key] = self._fetch(source, cell)
            return self._found[key]

    def _fetch(self, source: Source, cell: Cell) -> str:
        if source.git:
            return str(self._check_out(source.git, source.ref) / source.path)
        if source.s3:
            return str(self._download(source.s3, cell.region))
        return str(cell.folder / source.path)

    def _own_folder(self, text: str) -> Path:
        folder = self.folder / hashlib.sha256(text.encode()).hexdigest()[:20]
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def _check_out(self, url: str, ref: str) -> Path:
        """The repository at its ref, with nothing that lay there before. Raises SourceError."""
        folder = self._own_folder(f"{url} {ref}")
        git = _Git(folder, f"{url}{'@' * bool(ref)}{ref}")
        if not (folder / ".git").is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            git("init", "--quiet")
        git("fetch", "--quiet", "--depth", "1", "--no-tags", "--", url, ref or "HEAD")
        git("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
        git("clean", "--quiet", "-ffdx")
        return folder

    def _download(self, place: str, region: str) -> Path:
        """The specs below a prefix. Raises SourceError."""
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        prefix = f"{prefix.rstrip('/')}/" if prefix and not prefix.endswith(_ENDINGS) else prefix
        folder = self._own_folder(place)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(mode=0o700)
            for name, body in _objects(connect(self.session, region).transport, bucket, prefix, place):
                (folder / name).write_bytes(body)
        except OSError as error:
            raise SourceError(f"{place} can't be kept in {folder}: {(error.strerror or str(error)).lower()}") from None
        except AwsError as error:
            raise SourceError(f"{place} can't be read: {error}") from None
        return folder


def _objects(s3: Transport, bucket: str, prefix: str, place: str) -> Iterator[tuple[str, bytes]]:
    """The specs directly below a prefix, by their names (S3 ListObjectsV2, GetObject). Raises SourceError, AwsError."""
    token: dict[str, str] = {}
    count = 0
    while True:
        answer = s3("s3", "list_objects_v2", {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/", **token})
        for item in answer.get("Contents", ()):
            if item["Key"].endswith(_ENDINGS):
                count += 1
                if count > _MOST_OBJECTS or item["Size"] > MAX_BYTES:
                    what = (
                        f"more than {_MOST_OBJECTS} specs"
                        if count > _MOST_OBJECTS
                        else f"{item['Key']}, which is too large"
                    )
                    raise SourceError(f"{place} has {what}; split it")
                yield (
                    item["Key"].rpartition("/")[2],
                    s3("s3", "get_object", {"Bucket": bucket, "Key": item["Key"]})["Body"],
                )
        if not answer.get("NextContinuationToken"):
            break
        token = {"ContinuationToken": answer["NextContinuationToken"]}
    if not count:
        raise SourceError(f"there is no *.yaml or *.yml below {place}; correct the prefix")


@dataclass(frozen=True)
class _Git:
    """The git program in a folder. It asks nobody for a password, and speaks no protocol that runs commands."""

    folder: Path
    what: str

    def __call__(self, *arguments: str) -> None:
        """Raises SourceError."""
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:ssh:file"}
        environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # of a hook that we may run in
            environment.pop(name, None)
        command = ["git", "-c", "core.hooksPath=/dev/null", *arguments]
        try:
            done = subprocess.run(  # noqa: S603 (no shell; the URL stands behind `--`)
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                timeout=_GIT_TIMEOUT,
            )  # fmt: skip
        except FileNotFoundError:
            raise SourceError(f"{self.what} can't be checked out: there is no git program; install git") from None
        except subprocess.TimeoutExpired:
            raise SourceError(f"{self.what} can't be checked out: git didn't end within {_GIT_TIMEOUT} s") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it doesn't say why"]
            text = printable(said[-1])[:300].rstrip(".")
            raise SourceError(f"{self.what} can't be checked out: {text}; check the URL, the ref and who may read it")
