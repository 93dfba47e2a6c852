"""`python -m alb_reconcile` is the command line."""

import sys

from alb_reconcile.cli import main

sys.exit(main())
