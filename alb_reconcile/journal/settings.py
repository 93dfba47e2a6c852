"""Reads from options and the environment where runs are recorded and where notifications go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alb_reconcile.journal.files import state_folder
from alb_reconcile.journal.history import Retention
from alb_reconcile.journal.mask import Mask
from alb_reconcile.journal.tracing import Tracing, read_tracing, secrets_of
from alb_reconcile.journal.webhook import ALLOW_VARIABLE, SECRET_VARIABLE, URL_VARIABLE, Webhook, make_webhook
from alb_reconcile.model.errors import UsageError
from alb_reconcile.model.files import read_file
from alb_reconcile.model.machine import remedy

if TYPE_CHECKING:
    from alb_reconcile.journal.issues.keeping import Issues

METRICS_VARIABLE: Final = "ALB_RECONCILE_METRICS_FILE"
URL_FILE_VARIABLE: Final = "ALB_RECONCILE_WEBHOOK_URL_FILE"
SECRET_FILE_VARIABLE: Final = "ALB_RECONCILE_WEBHOOK_SECRET_FILE"  # noqa: S105 (a variable's name)
ALLOWANCES: Final = ("private", "http")
_LONGEST: Final = 4096
"""The most bytes of a URL or a secret."""


@dataclass(frozen=True)
class Settings:
    """Where the history is, which runs it keeps, where notifications, traces and issues go. `mask` knows the secrets of this process."""

    folder: Path
    retention: Retention = field(default_factory=Retention)
    metrics_file: Path | None = None
    webhook: Webhook | None = None
    mask: Mask = field(default_factory=Mask)
    tracing: Tracing | None = None
    issues: Issues | None = None

    @contextmanager
    def traces_end(self, say: Callable[[str], None]) -> Iterator[None]:
        """Deliver the last spans after the block; `say` is given one line if they can't be delivered."""
        try:
            yield
        finally:
            if self.tracing is not None and (text := self.tracing.end()):
                say(text)


def read_settings(
    environ: Mapping[str, str],
    *,
    state_dir: str | None = None,
    metrics_file: str | None = None,
    webhook_url_file: str | None = None,
    webhook_secret_file: str | None = None,
    webhook_allow: str | None = None,
    trace: bool = False,
    issue: str | None = None,
) -> Settings:
    """The settings; each option outranks its variables. Call this before a run, so that a mistake is reported before anything is changed.

    Raises UsageError, RecordError; their texts have no secret in them.
    """
    url = _given(environ, webhook_url_file, URL_FILE_VARIABLE, URL_VARIABLE, "URL")
    webhook, secret = None, ""
    if url:
        secret = _given(environ, webhook_secret_file, SECRET_FILE_VARIABLE, SECRET_VARIABLE, "secret")
        if not secret:
            raise UsageError(
                f"the webhook has no secret to sign with; give --webhook-secret-file, or set {SECRET_VARIABLE}"
            )
        allow = set(filter(None, (webhook_allow or environ.get(ALLOW_VARIABLE, "")).split(",")))
        if not allow <= set(ALLOWANCES):
            raise UsageError(
                f"--webhook-allow or {ALLOW_VARIABLE} takes {' and '.join(ALLOWANCES)}, with a comma between them; correct it"
            )
        webhook = make_webhook(
            url,
            secret,
            private="private" in allow,
            plain="http" in allow,
            place=webhook_url_file or environ.get(URL_FILE_VARIABLE) or URL_VARIABLE,
        )
    elif webhook_secret_file or webhook_allow:
        raise UsageError(f"no webhook is configured; give --webhook-url-file, or set {URL_VARIABLE}")
    chosen = metrics_file or environ.get(METRICS_VARIABLE)
    if chosen and not chosen.endswith(".prom"):
        raise UsageError("the metrics file's name has to end with .prom: node-exporter reads no others")
    mask = Mask.of(environ, url, secret, *secrets_of(environ))
    return Settings(
        folder=state_folder(state_dir, environ),
        metrics_file=Path(chosen) if chosen else None,
        webhook=webhook,
        mask=mask,
        tracing=read_tracing(environ, mask, asked=trace),
        issues=_issues(issue, environ, mask) if issue else None,
    )


def _issues(place: str, environ: Mapping[str, str], mask: Mask) -> Issues:
    from alb_reconcile.journal.issues.keeping import read_issues  # most runs keep no issues

    return read_issues(place, environ, mask)


def _given(environ: Mapping[str, str], file: str | None, file_variable: str, variable: str, what: str) -> str:
    """One of the webhook's secrets: the text of a file that is named, else the variable's value."""
    file = file or environ.get(file_variable)
    if not file:
        return environ.get(variable, "")
    try:
        text = read_file(file, _LONGEST).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it isn't text"
        raise UsageError(
            f"the webhook's {what} can't be read from {file}: {reason.lower()}; "
            + remedy(error, "correct the file's name or mode")
        ) from None
    if not text:
        raise UsageError(f"the webhook's {what} is missing: {file} is empty; write it there")
    return text
