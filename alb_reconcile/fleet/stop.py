"""Tells a run over cells to stop."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial


class Stop:
    """A request to stop, from any thread: runs end between two steps. It can't be taken back."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler runs in the main thread, which may have it
        self._is_set = False
        self._calls: set[Callable[[], object]] = set()

    @property
    def is_set(self) -> bool:
        """Whether the request was made."""
        return self._is_set

    def set(self) -> None:
        """Request the stop."""
        with self._lock:
            self._is_set = True
            calls = list(self._calls)
        for call in calls:
            call()

    @contextmanager
    def calling(self, stop: Callable[[], object]) -> Iterator[None]:
        """Within the block, `stop` is called in this event loop once a stop is requested; at once if it was before."""
        loop = asyncio.get_running_loop()
        call = partial(loop.call_soon_threadsafe, stop)
        with self._lock:
            self._calls.add(call)
            was_set = self._is_set
        if was_set:
            stop()
        try:
            yield
        finally:
            with self._lock:
                self._calls.discard(call)
