"""What each owner's originals are said to weigh, held against what they weigh."""

from __future__ import annotations

from sqlalchemy import func, or_, select

from coverslip.archive.catalog import Catalog
from coverslip.archive.models import HoldingRow, OriginalRow, SlideRow, UploadRow


def misweighed(catalog: Catalog) -> frozenset[str]:
    """Owners whose sum is not what their slides' originals that are kept add up to."""
    kept = (
        select(UploadRow.owner, func.sum(UploadRow.length))
        .join(SlideRow, SlideRow.uid == UploadRow.uid)
        .outerjoin(OriginalRow, OriginalRow.uid == UploadRow.uid)
        .where(or_(OriginalRow.uid.is_(None), OriginalRow.purged.is_(None)))
        .group_by(UploadRow.owner)
    )
    with catalog._db.read() as session:
        weighs = {(owner, int(length)) for owner, length in session.execute(kept)}
        said = session.execute(select(HoldingRow.owner, HoldingRow.length).where(HoldingRow.length != 0))
        return frozenset(owner for owner, _ in weighs ^ {(owner, length) for owner, length in said})
