"""What a key may be for."""

from __future__ import annotations

from enum import StrEnum

from coverslip.archive.records import Principal


class Role(StrEnum):
    """What a key may be for; `admin` may do everything the others may."""

    SUBMITTER = "submitter"
    CURATOR = "curator"
    VIEWER = "viewer"
    OPS = "ops"
    ADMIN = "admin"


def has(principal: Principal | None, *roles: Role) -> bool:
    """Whether somebody holds one of `roles` (or is admin)."""
    return principal is not None and not principal.roles.isdisjoint({Role.ADMIN, *roles})
