"""Complete pyramids that lie beside a slide in a store: which of them tidying deletes."""

from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive import tidying
from coverslip.archive.archive import Archive
from coverslip.archive.clean import BucketSlides
from coverslip.archive.folder_store import FolderStore
from coverslip.archive.kinds import JobKind
from coverslip.archive.terms import Terms


@pytest.fixture
def archive(archive, open_catalog, sqlite_url, tmp_path):
    """One whose clean slides lie in a store, where no file ever changes."""
    catalog = open_catalog(sqlite_url, terms=Terms(complete_pyramids=True))
    return Archive(catalog, archive.storage, archive.originals, clean=BucketSlides(FolderStore(tmp_path / "store")))


def test_a_pyramid_that_is_recorded_while_somebody_tidies_stays(archive, fill, produced, monkeypatch):
    """However long it lay there before: who looks at the attempt first sees its pointer by then."""
    catalog, clean = archive.catalog, archive.clean
    sid, job = fill(catalog).slide()
    claim = catalog.claim(job, "a")
    with archive.storage.scratch(sid, claim.artefact) as draft:
        (draft / "slide.svs").write_bytes(b"clean")
        archive.publish(claim, draft, produced)
        pyramid = catalog.claim_next((JobKind.PYRAMID,), "b")
        clean.add(draft / "slide.svs", sid, pyramid.target, "art-9.pyramid")
    is_running, ended = catalog.is_running, []

    def then_it_ends(*asked):
        if not ended:
            ended.append(catalog.finish_pyramid(pyramid, index_name="art-9.pyramid"))
        return is_running(*asked)

    monkeypatch.setattr(catalog, "is_running", then_it_ends)
    assert tidying.discard_indexes(archive, datetime.now(UTC) + timedelta(hours=1)) == 0
    assert ended
    assert [each.name for each in clean.files(".pyramid")] == ["art-9.pyramid"]
