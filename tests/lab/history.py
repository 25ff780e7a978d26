# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What happened, as checker.py reads it."""
import contextlib
import json
import os
import threading
import time

TICK_SEC = 0.05
LAG_SEC = 0.1           # shorter ones don't matter


class History:
    """Lines of DIRECTORY/history.jsonl.  Thread-safe."""

    def __init__(self, directory):
        self.directory = directory
        self.counts = {}                # by kind of line
        self._lock = threading.Lock()
        self._file = open(os.path.join(directory, "history.jsonl"), "w")
        self._over = threading.Event()
        self.note("start", monotonic=time.monotonic(), wall=time.time())
        self._ticker = threading.Thread(target=self._note_lags, daemon=True)
        self._ticker.start()

    def note(self, what, **more):
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            self._file.write(json.dumps({"what": what, **more}) + "\n")

    @contextlib.contextmanager
    def span(self, what, **more):
        """Notes what with the begin and end of the block, also when that
        fails; the block may add to the dict that it gets."""
        more["begin"] = time.monotonic()
        try:
            yield more
        finally:
            more["end"] = time.monotonic()
            self.note(what, **more)

    def _note_lags(self):
        before = time.monotonic()
        while not self._over.wait(TICK_SEC):
            now = time.monotonic()
            if now - before > TICK_SEC + LAG_SEC:
                self.note("lag", begin=before, end=now)
            before = now

    def close(self):
        self._over.set()
        self._ticker.join()
        self._file.close()
