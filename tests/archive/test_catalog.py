"""What the catalogue promises about slides, uploads, originals and keys, on SQLite and on PostgreSQL alike."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from coverslip.archive.catalog import Catalog
from coverslip.archive.records import Refused
from coverslip.archive.schema import opened
from coverslip.archive.states import State
from coverslip.errors import LeaseLost, NotFound, NotPermitted, OriginalPurged, SettingsInvalid, StateConflict
from tests.archive.catalogues import Catalogues, InPostgres, InSqlite
from tests.archive.conftest import LENGTH


class CatalogContract(Catalogues):
    """The promises."""

    def test_an_upload_becomes_a_slide_and_a_job_or_neither(self, catalog, filler):
        """The job row is the outbox: it exists exactly when the slide does."""
        uid, generation = filler.upload()
        sid = catalog.finish_upload(uid, generation, "00" * 32, "strict")
        assert catalog.slide(sid).state is State.QUEUED
        (job,) = catalog.jobs(sid)
        assert catalog.hints_due() == (job.id,)
        with pytest.raises(StateConflict):
            catalog.finish_upload(uid, generation, "00" * 32, "strict")
        assert sum(catalog.counts().values()) == 1

    def test_an_incomplete_upload_does_not_finish(self, catalog, clock):
        """Bytes that are missing keep the slide from coming to be."""
        upload = catalog.create_upload("owner", 10, clock.now + timedelta(days=1), "x", {})
        generation = catalog.begin_patch(upload.uid)
        catalog.advance(upload.uid, generation, 9)
        with pytest.raises(StateConflict):
            catalog.finish_upload(upload.uid, generation, "00" * 32, "strict")

    def test_the_newest_request_writes(self, catalog, clock):
        """An overtaken PATCH can neither move the offset nor finish."""
        upload = catalog.create_upload("owner", 10, clock.now + timedelta(days=1), "x", {})
        first = catalog.begin_patch(upload.uid)
        second = catalog.begin_patch(upload.uid)
        with pytest.raises(LeaseLost):
            catalog.advance(upload.uid, first, 5)
        catalog.advance(upload.uid, second, 5)
        assert catalog.upload(upload.uid).offset == 5

    @pytest.mark.parametrize("offset", [4, 11])
    def test_an_offset_never_decreases_nor_passes_the_end(self, catalog, clock, offset):
        """An acknowledged offset is a promise."""
        upload = catalog.create_upload("owner", 10, clock.now + timedelta(days=1), "x", {})
        generation = catalog.begin_patch(upload.uid)
        catalog.advance(upload.uid, generation, 5)
        with pytest.raises(StateConflict):
            catalog.advance(upload.uid, generation, offset)

    def test_uploads_expire_and_end(self, catalog, clock):
        """After its time an upload takes nothing more; ending it stops the request that writes."""
        upload = catalog.create_upload("owner", 10, clock.now + timedelta(hours=1), "x", {})
        generation = catalog.begin_patch(upload.uid)
        assert catalog.open_uploads("owner") == (catalog.upload(upload.uid),)
        clock.wait(hours=1)
        assert [found.uid for found in catalog.expired_uploads(clock.now)] == [upload.uid]
        with pytest.raises(NotFound):
            catalog.begin_patch(upload.uid)
        catalog.terminate_upload(upload.uid)
        with pytest.raises(StateConflict):
            catalog.advance(upload.uid, generation, 5)
        assert catalog.open_uploads("owner") == catalog.expired_uploads(clock.now) == ()
        with pytest.raises(NotFound):
            catalog.unseal(upload.uid, "admin")

    def test_the_vault_gives_back_what_was_said_and_records_who_asked(self, catalog, filler):
        """Names and metadata survive sealed; every reading leaves an event."""
        uid, generation = filler.upload(filename="Doe, Jane.svs")
        sid = catalog.finish_upload(uid, generation, "cd" * 32, "strict")
        said = catalog.unseal(uid, "curator", sid)
        assert (said.filename, dict(said.metadata), said.sha256) == ("Doe, Jane.svs", {"note": "n"}, "cd" * 32)
        last = catalog.events(sid)[-1]
        assert (last.action, last.actor) == ("vault-opened", "curator")

    def test_a_process_without_the_key_cannot_seal_or_open(self, catalog, filler, url, clock):
        """A worker has no business with names."""
        uid, _ = filler.upload()
        bare = Catalog(opened(url), clock=clock)
        with pytest.raises(NotPermitted):
            bare.unseal(uid, "worker")
        bare.close()

    def test_people_make_people_s_moves_only(self, catalog, filler, produced):
        """A curator releases what is in review; nobody releases by hand what is not."""
        sid, job = filler.slide()
        with pytest.raises(StateConflict):
            catalog.transition(sid, State.RELEASED, "curator")
        claim = catalog.claim(job, "a")
        with pytest.raises(StateConflict):
            catalog.transition(sid, State.IN_REVIEW, "curator")
        catalog.finish(claim, produced)
        assert catalog.transition(sid, State.RELEASED, "curator", "fine").state is State.RELEASED
        assert catalog.events(sid)[-1].reason == "fine"
        catalog.transition(sid, State.WITHDRAWN, "curator")
        with pytest.raises(StateConflict):
            catalog.transition(sid, State.RELEASED, "curator")

    def test_one_of_many_moves_wins(self, catalog, filler, produced):
        """Curators who press at once: one move happens, the others hear that the state changed."""
        sid, job = filler.slide()
        catalog.finish(catalog.claim(job, "a"), produced)

        def press(to):
            try:
                return catalog.transition(sid, to, "curator").state
            except StateConflict:
                return None

        with ThreadPoolExecutor(8) as pool:
            moves = list(pool.map(press, [State.RELEASED] * 4 + [State.QUARANTINED] * 4))
        assert len(moves) - moves.count(None) == 1
        assert len(catalog.events(sid)) == 5

    def test_a_refused_move_leaves_no_event(self, catalog, filler):
        """Act and event are one transaction."""
        sid, _ = filler.slide()
        before = catalog.events(sid)
        with pytest.raises(StateConflict):
            catalog.transition(sid, State.RELEASED, "curator")
        assert catalog.events(sid) == before

    def test_pages_go_from_new_to_old_without_gap_or_repeat(self, catalog, filler, clock):
        """Slides that arrive while somebody pages disturb nothing."""
        made = []
        for _ in range(5):
            made.append(filler.slide()[0])
            clock.wait(seconds=1)
        first = catalog.slides(limit=2)
        filler.slide()
        second = catalog.slides(cursor=first.cursor, limit=2)
        third = catalog.slides(cursor=second.cursor, limit=2)
        seen = [slide.sid for page in (first, second, third) for slide in page.slides]
        assert seen == made[::-1]
        assert third.cursor is None
        assert catalog.slides(states=[State.RELEASED]).slides == ()
        with pytest.raises(NotFound):
            catalog.slides(cursor="x' OR 1=1")

    def test_keys_open_for_their_holder_until_revoked(self, catalog):
        """The secret is known to its holder alone; revocation holds on the next question."""
        key_id, secret = catalog.create_key("lab", ["curator", "viewer"], "alice")
        principal = catalog.principal(secret)
        assert (principal.key_id, principal.owner, principal.roles) == (key_id, "alice", {"curator", "viewer"})
        for wrong in ("", "csk_", secret[:-2] + "__", secret + "x", secret.replace(key_id, "0" * 16)):
            assert catalog.principal(wrong) is None
        catalog.revoke_key(key_id)
        assert catalog.principal(secret) is None
        (key,) = catalog.keys()
        assert key.revoked is not None
        with pytest.raises(NotFound):
            catalog.create_key("lab", ["root"], "alice")

    def test_an_owner_holds_what_is_under_way_and_what_is_kept(self, catalog, filler, clock):
        """Announced bytes until the upload ends or expires, originals until they are purged, and nobody else's."""

        def owned() -> tuple[int, int]:
            return catalog.load("owner").owned, catalog.load("other").owned

        first, second = filler.slide(), filler.slide()
        filler.upload("other")
        uid, _ = filler.upload()
        assert owned() == (3 * LENGTH, LENGTH)
        catalog.terminate_upload(uid)
        assert owned() == (2 * LENGTH, LENGTH)
        for sid, job in (first, second):
            catalog.finish(catalog.claim(job, "a"), Refused("damaged-slide"))
            catalog.purge(sid, "curator")
            with pytest.raises(OriginalPurged):
                catalog.purge(sid, "curator")
        assert owned() == (0, LENGTH)
        clock.wait(days=1)
        assert owned() == (0, 0)

    def test_originals_that_come_together_all_count(self, catalog, filler):
        """An owner's first ones, too: each request adds its own to whatever is there by then."""
        ready = [filler.upload() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda one: catalog.finish_upload(*one, "00" * 32, "strict"), ready))
        assert catalog.load("owner").owned == 8 * LENGTH

    def test_opening_again_keeps_everything(self, catalog, filler, open_catalog, url):
        """Migrations run once, also when processes start together."""
        sid, _ = filler.slide()
        with ThreadPoolExecutor(4) as pool:
            others = list(pool.map(lambda _: open_catalog(url), range(4)))
        assert all(other.slide(sid).sid == sid for other in others)

    def test_processes_that_start_together_make_the_tables_once(self, open_catalog, url):
        """Service and worker find an empty database at the same moment."""
        with ThreadPoolExecutor(6) as pool:
            opened = list(pool.map(lambda _: open_catalog(url), range(6)))
        assert all(sum(catalog.counts().values()) == 0 for catalog in opened)

    def test_tables_of_a_newer_version_are_left_alone(self, open_catalog, url):
        """Somebody went back to an older version: one line that says so, and nothing is touched."""
        catalog = open_catalog(url)
        with catalog._db.write() as session:
            before = session.scalar(text("SELECT version_num FROM alembic_version"))
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        try:
            with pytest.raises(SettingsInvalid, match="newer version"):
                open_catalog(url)
        finally:  # the server of these tests is not ours alone
            with catalog._db.write() as session:
                session.execute(text("UPDATE alembic_version SET version_num = :before"), {"before": before})

    @pytest.mark.parametrize("ask", ["slide", "upload", "job"])
    def test_what_does_not_exist_is_not_found(self, catalog, ask):
        """One answer for unknown things."""
        with pytest.raises(NotFound):
            getattr(catalog, ask)("nothing")


class TestSqlite(InSqlite, CatalogContract):
    """In one file."""


@pytest.mark.postgres
class TestPostgres(InPostgres, CatalogContract):
    """On a server."""
