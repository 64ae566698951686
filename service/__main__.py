"""`python -m service`: see `service.command`."""

from __future__ import annotations

from coverslip.loading import loading

if __name__ == "__main__":
    with loading():
        from service.command import main
    raise SystemExit(main())
