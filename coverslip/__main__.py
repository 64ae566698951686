"""`coverslip`, and `python -m coverslip`: listens for signals, and begins what takes longest, before all else."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from coverslip.interrupts import Interrupted, ignore, listen


def main() -> None:
    """Run a command; whoever is asked to end leaves nothing half written and says so."""
    try:
        listen()
        if sys.platform == "linux":
            from coverslip.confined import early

            early.begin(sys.argv[1:])
        from coverslip.cli import run

        run()
    except Interrupted as interrupted:
        if rooms := sys.modules.get("coverslip.rooms"):
            rooms.leave_all()
        sys.stderr.write("coverslip: interrupted; nothing half written is left behind\n")
        raise SystemExit(interrupted.exit_code) from None
    except SystemExit as done:
        leave(done)
        raise
    finally:
        ignore()


def leave(done: SystemExit) -> None:
    """End at once: everything is written and every child is gone, and taking Python apart costs 40 ms of each slide.

    Returns where Python has something to say itself.
    """
    ignore()
    with suppress(OSError):  # nobody reads what we say: Python says so
        sys.stdout.flush()
        sys.stderr.flush()
        if done.code is None or isinstance(done.code, int):
            os._exit(done.code or 0)


if __name__ == "__main__":
    main()
