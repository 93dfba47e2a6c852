"""A strict AWS for tests and the sandbox: moto, changed to refuse, delay and remember as AWS does."""

from .aws import StrictAws
from .clock import Timing, VirtualClock

__all__ = ["StrictAws", "Timing", "VirtualClock"]
