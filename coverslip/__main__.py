"""`coverslip`, and `python -m coverslip`: listens for signals, and begins what takes longest, before all else."""

from __future__ import annotations

import sys

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
    finally:
        ignore()


if __name__ == "__main__":
    main()
