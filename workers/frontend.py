"""The front end as a program beside a worker: whoever keeps it notices when it lives but gives no answer."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path

from coverslip.settings import Settings
from workers import logs
from workers.programs import Program

GRACE = 10.0
ANSWER = 2.0
"""Seconds for one answer to a question that costs it nothing; whoever asks has other duties meanwhile."""
STRIKES = 4
"""Silences in a row after which it hangs: about half a minute of the sweeper's rounds."""
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Where to ask one that listens on all addresses."""

log = logs.get("workers.frontend")


class FrontEnd(Program):
    """`python -m service`, and how often in a row it was silent."""

    def __init__(self, settings: Settings) -> None:
        """Name it; nothing is started yet."""
        super().__init__([sys.executable, "-m", "service"], grace=GRACE)
        self._host, self._port = EVERY_ADDRESS.get(settings.host, settings.host), settings.port
        self._silences = 0
        self._answered = False

    @property
    def has_refused(self) -> bool:
        """Whether it ended of its own accord and never gave an answer: starting it again would be of no use.

        One that did may only have met a bad moment, such as a disk that is read-only.
        """
        return self.has_left and not self._answered

    def hangs(self) -> bool:
        """Ask once; True when it is time to replace it. Whoever does not listen yet starts, unless it is stopped."""
        self._silences = self._silences + 1 if self._is_silent() else 0
        if self._silences:
            log.warning("service gives no answer", count=self._silences)
        return self._silences >= STRIKES

    def replace(self) -> None:
        """Start it again, and counting with it."""
        self._silences = 0
        super().replace()

    def _is_stopped(self) -> bool:
        """Whether somebody stopped its process (proc_pid_stat(5), state T); how long a start may take, nobody knows."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False

    def _is_silent(self) -> bool:
        """Whether it let us wait; any answer will do, for one with too many guests refuses them and is well."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse()
            self._answered = True
        except TimeoutError:
            return True
        except ConnectionRefusedError:
            return self._is_stopped()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return False
