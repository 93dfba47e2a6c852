"""Fetches the specs of a cell: from the fleet's own folder, a place in S3, or a git checkout; each source is fetched once."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from alb_reconcile.api.session import Session, connect
from alb_reconcile.aws.dry_run import Transport
from alb_reconcile.fleet.cells import Cell, Source
from alb_reconcile.journal.files import only_writer
from alb_reconcile.model.errors import Problem, ReconcileError, SpecError, UsageError
from alb_reconcile.model.files import read_start
from alb_reconcile.model.policy import Policy
from alb_reconcile.model.text import digest, printable
from alb_reconcile.spec.document import MAX_BYTES
from alb_reconcile.spec.stack import Stack, load_policy, load_stack, parse_stack
from alb_reconcile.sync.targets import Broken, Targets, load_targets

_GIT_TIMEOUT: Final = 120
"""Seconds for each call of the git program."""
_MOST_OBJECTS: Final = 1000
"""The most specs below one place in S3."""
_ENDINGS: Final = (".yaml", ".yml")


class SourceError(UsageError):
    """A source that can't be fetched; the text says why and what to do."""


class Sources:
    """Fetches sources, each once, into a folder of its own that `close` removes: make one object for each run. Sources that are files
    aren't fetched.

    `cache`: where git's objects are kept from run to run; `session` asks S3 with the runner's credentials. `variables` outrank a cell's
    own; `policy` is a file of further limits.
    """

    def __init__(
        self, cache: Path, session: Session, variables: Mapping[str, str] | None = None, policy: str | None = None
    ) -> None:
        self._cache, self._session = cache, session
        self._variables, self._policy_file = variables or {}, policy
        self._folder: TemporaryDirectory[str] | None = None
        self._found: dict[tuple[Source, Path], str | SourceError] = {}
        self._labels: dict[str, str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was fetched."""
        if self._folder is not None:
            self._folder.cleanup()

    def load(self, cell: Cell) -> Targets:
        """The stacks of a cell, and why others can't be used. May wait for git and S3: call it in a thread."""
        places, lost = [], []
        for source in cell.sources:
            place = self._place(source, cell)
            if isinstance(place, SourceError):
                lost.append(Broken(str(source), str(place), is_spec=False))
            else:
                places.append(place)
        found = load_targets(places, lambda file: self._load(file, cell), self._policy)
        broken = (replace(item, file=self._told(item.file), text=self._told(item.text)) for item in found.broken)
        return Targets(found.stacks, (*lost, *broken))

    def _told(self, text: str) -> str:
        """The text with names of sources in place of their temporary folders."""
        for folder, label in self._labels.items():
            text = text.replace(folder, label).replace(folder.rstrip("/"), label.rstrip(":/"))
        return text

    def _policy(self) -> Policy:
        return load_policy(self._policy_file, self._variables) if self._policy_file else Policy()

    def _load(self, file: str, cell: Cell) -> Stack | None:
        """One spec; None for a spec that is meant for another of the account's regions. Raises SpecError."""
        stack = self._read(file, cell, None)
        if stack.region is None:
            return self._read(file, cell, cell.region)
        if stack.region == cell.region:
            return stack
        if stack.region in cell.regions or cell.region != cell.regions[0]:
            return None  # the spec belongs to another cell, or the account's first cell reports it
        what = (
            f"is {stack.region}, which isn't among the regions of {cell.account} in the fleet ({', '.join(cell.regions)}); "
            "add it there, or leave region out"
        )
        raise SpecError(stack.file, [Problem(*stack.place, "region", what)])

    def _read(self, file: str, cell: Cell, region: str | None) -> Stack:
        """A spec, named after its source. Raises SpecError."""
        variables = {**cell.variables, **self._variables}
        for folder, label in self._labels.items():
            if file.startswith(folder):
                data = read_start(file, MAX_BYTES + 1)
                name = f"{label}{file.removeprefix(folder)}"
                return parse_stack(data, name, Path(file).parent, {**os.environ, **variables}, region)
        return load_stack(file, variables, region)

    def _place(self, source: Source, cell: Cell) -> str | SourceError:
        """The place of a source on this machine, or why it has none."""
        with self._lock:
            key = source, cell.folder
            if key not in self._found:
                try:
                    self._found[key] = self._fetch(source, cell)
                except SourceError as error:
                    self._found[key] = error
                except ReconcileError as error:
                    self._found[key] = SourceError(f"{source} can't be read: {error}")
                except OSError as error:
                    reason = (error.strerror or str(error)).lower()
                    self._found[key] = SourceError(
                        f"{source} can't be kept on this machine: {reason}; free up space, or set TMPDIR"
                    )
            return self._found[key]

    def _fetch(self, source: Source, cell: Cell) -> str:
        """Fetch a source. Returns its place. Raises SourceError, ReconcileError, OSError."""
        if not source.git and not source.s3:
            return str(cell.folder / source.path)
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="alb-reconcile-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name) / str(len(self._labels))
        folder.mkdir(mode=0o700)
        if source.git:
            label = f"{source.repository}:"
            _check_out(source, self._cache, folder)
        else:
            label = f"{source.s3}/"
            for name, body in _objects(connect(self._session, cell.region).transport, source.s3):
                (folder / name).write_bytes(body)
        self._labels[f"{folder}/"] = label
        return str(folder / source.path) if source.path else str(folder)


def _objects(s3: Transport, place: str) -> Iterator[tuple[str, bytes]]:
    """The specs directly below a prefix, by name (S3 ListObjectsV2, GetObject). Raises SourceError, AwsError."""
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    if prefix and not prefix.endswith(_ENDINGS):
        prefix += "/"
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


def _check_out(source: Source, cache: Path, folder: Path) -> None:
    """Write a repository's files at a ref into `folder`. Fetched objects stay in the cache, so that the next run fetches only new ones.

    Raises SourceError, and RecordError where another process doesn't release the cache.
    """
    store = cache / f"{digest(source.git, 20)}.git"
    url, login = _login_apart(source.git)
    git = _Git(store, folder, str(source), login)
    with only_writer(store, timeout=_GIT_TIMEOUT):
        if not (store / "HEAD").exists():
            git("init", "--quiet", "--bare", str(store))
        git("fetch", "--quiet", "--depth", "1", "--no-tags", "--", url, source.ref or "HEAD")
        git("--work-tree", str(folder), "checkout", "--quiet", "--force", "FETCH_HEAD", "--", ".")


def _login_apart(url: str) -> tuple[str, dict[str, str]]:
    """A URL without its password, and the setting by which git logs in: every user of the machine may read arguments."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.password is None:
        return url, {}
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    login = f"{unquote(parts.username or '')}:{unquote(parts.password)}".encode()
    header = f"Authorization: Basic {base64.b64encode(login).decode()}"
    return bare.geturl(), {f"http.{bare.scheme}://{bare.netloc}/.extraHeader": header}


@dataclass(frozen=True)
class _Git:
    """Calls the git program for a repository. git asks for no password, and speaks no protocol that runs commands."""

    store: Path
    folder: Path
    what: str
    settings: Mapping[str, str]

    def __call__(self, *arguments: str) -> None:
        """Call git with these arguments. Raises SourceError."""
        # a credential helper may need AWS's variables and others, but none of this program's own
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("ALB_RECONCILE_", "OTEL_"))
        }
        environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:ssh:file"}
        before = int(environment.get("GIT_CONFIG_COUNT") or 0)
        for number, (name, value) in enumerate(self.settings.items(), before):
            environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        environment["GIT_CONFIG_COUNT"] = str(before + len(self.settings))
        environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        environment |= {"GIT_DIR": str(self.store), "GIT_INDEX_FILE": f"{self.folder}.index"}
        environment.pop("GIT_WORK_TREE", None)  # set by a hook in which this program may run
        command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false", *arguments]
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
