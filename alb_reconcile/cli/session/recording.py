"""The options that say where runs are recorded, and the settings made from these options and the environment."""

import os
from dataclasses import dataclass

from alb_reconcile.journal.settings import Settings, read_settings


@dataclass(frozen=True)
class RecordOptions:
    """The options that say what a run leaves behind."""

    state_dir: str | None
    metrics_file: str | None
    webhook_url_file: str | None
    webhook_secret_file: str | None
    webhook_allow: str | None
    trace: bool


def settings_of(options: RecordOptions, issue: str | None = None) -> Settings:
    """The settings for these options. Raises UsageError, RecordError."""
    return read_settings(
        os.environ,
        state_dir=options.state_dir,
        metrics_file=options.metrics_file,
        webhook_url_file=options.webhook_url_file,
        webhook_secret_file=options.webhook_secret_file,
        webhook_allow=options.webhook_allow,
        trace=options.trace,
        issue=issue,
    )
