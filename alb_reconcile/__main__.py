"""`python -m alb_reconcile` is the command line."""

from alb_reconcile.cli.main import run

run()
