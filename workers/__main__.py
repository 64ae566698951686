"""`python -m workers`: see `workers.command`."""

from __future__ import annotations

from coverslip.loading import loading

if __name__ == "__main__":
    with loading():
        from workers.command import main
    raise SystemExit(main())
