"""Where a command's runs are recorded, by its options."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from alb_reconcile.journal.settings import Settings, read_settings

if TYPE_CHECKING:
    import argparse


def settings_of(args: argparse.Namespace) -> Settings:
    """By a command's options and the environment. Raises UsageError, RecordError."""
    return read_settings(
        os.environ,
        state_dir=args.state_dir,
        metrics_file=args.metrics_file,
        webhook_url_file=args.webhook_url_file,
        webhook_secret_file=args.webhook_secret_file,
        webhook_allow=args.webhook_allow,
    )
