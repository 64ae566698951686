"""Whose turn it is: urgent work first, owners in turn, nothing that is paused; on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from coverslip.archive.kinds import JobKind
from coverslip.archive.models import JobRow, SlideRow, TurnRow
from coverslip.archive.pauses import Scope
from coverslip.archive.records import Refused, SetAside
from coverslip.archive.turns import FIRST_AT_ONCE, Priority
from coverslip.errors import NotFound

KINDS = tuple(JobKind)
PLAN = (("a", "x"), ("a", "x"), ("a", "y"), ("b", "x"), ("c", ""), ("a", "x"), ("b", "y"), ("b", "x"), ("a", "x"))
"""(owner, submission) in the order they come."""


class TurnsContract:
    """The promises; a subclass says where the catalogue lives."""

    @pytest.fixture
    def catalog(self, url, open_catalog):
        return open_catalog(url)

    @pytest.fixture
    def bring(self, fill, catalog, clock):
        """Queues a slide of an owner and returns its job's id; each comes a moment after the one before."""

        def one(owner, priority=Priority.USUAL, collection="default", submission=""):
            uid, generation = fill(catalog).upload(owner)
            more = {"priority": priority, "submission": submission}
            sid = catalog.finish_upload(uid, generation, "00" * 32, "strict", collection, **more)
            clock.wait(seconds=1)
            return catalog.jobs(sid)[-1].id

        return one

    @pytest.fixture
    def order(self, catalog, clock):
        """Owners in the order their jobs begin when each ends before the next begins."""

        def begun(count, worker="w"):
            owners = []
            for _ in range(count):
                claim = catalog.claim_next(KINDS, worker)
                owners.append(catalog.job(claim.job).owner)
                clock.wait(seconds=1)
                catalog.finish(claim, Refused("damaged-slide"))
            return owners

        return begun

    def test_one_slide_does_not_wait_behind_a_batch(self, bring, order):
        """Owners take turns, however many slides one of them brought first."""
        for _ in range(20):
            bring("bulk")
        bring("single")
        assert "single" in order(2)

    def test_owners_take_turns(self, bring, order):
        """Nobody has two turns while somebody else with work has none."""
        for owner in ("a", "a", "a", "b", "b", "c"):
            bring(owner)
        assert order(6) == ["a", "b", "c", "a", "b", "a"]

    def test_submissions_take_turns_within_an_owner(self, catalog, bring, clock):
        """Yesterday's batch does not hold up what the same owner sends today, and gains no more turns by its size."""
        jobs = {bring("a", submission="old"): "old" for _ in range(6)}
        jobs |= {bring("a", submission="new"): "new" for _ in range(2)}
        jobs |= {bring("b"): "b" for _ in range(4)}
        begun = []
        for _ in range(8):
            claim = catalog.claim_next(KINDS, "w")
            begun.append(jobs[claim.job])
            clock.wait(seconds=1)
            catalog.finish(claim, Refused("damaged-slide"))
        assert begun == ["old", "b", "new", "b", "old", "b", "new", "b"]

    def test_a_submission_that_holds_workers_waits_for_another(self, catalog, bring):
        """Slow slides of one submission leave the next worker to the other; an owner's namesake is another's."""
        for _ in range(3):
            bring("a", submission="x")
        held = [catalog.claim_next(KINDS, "w") for _ in range(2)]
        late = bring("a", submission="y")
        other = bring("b", submission="x")
        assert [catalog.claim_next(KINDS, "w").job for _ in range(2)] == [other, late]
        assert len(held) == 2

    def test_what_a_submission_is_called_is_not_kept(self, catalog, bring):
        """Somebody may call a batch by a name: only a digest stays, on slide and job alike, also when queued again."""
        job = catalog.job(bring("a", submission="john-doe"))
        with catalog._db.read() as session:
            rows = [session.get(SlideRow, job.sid), session.get(JobRow, job.id)]
            assert len({row.submission for row in rows}) == 1
            assert "doe" not in rows[0].submission
        claim = catalog.claim_next(KINDS, "w")
        catalog.finish(claim, SetAside("unknown-structure"))
        catalog.retry(claim.sid, "ops")
        with catalog._db.read() as session:
            assert session.get(JobRow, catalog.jobs(claim.sid)[-1].id).submission == rows[0].submission

    def test_how_many_go_before(self, catalog, bring, clock):
        """What is told of a waiting job is what then happens when nothing else comes; a running one waits no more."""
        jobs = [bring(owner, submission=submission) for owner, submission in PLAN]
        told = {job: catalog.ahead(job) for job in jobs}
        begun = []
        for _ in jobs:
            claim = catalog.claim_next(KINDS, "w")
            assert catalog.ahead(claim.job) is None
            begun.append(claim.job)
            clock.wait(seconds=1)
            catalog.finish(claim, Refused("damaged-slide"))
        assert [told[job] for job in begun] == list(range(len(jobs)))
        with pytest.raises(NotFound):
            catalog.ahead("nothing")

    def test_turns_are_forgotten(self, catalog, bring, clock):
        """What had its turn a month ago leaves no row behind."""
        bring("a", submission="x")
        catalog.finish(catalog.claim_next(KINDS, "w"), Refused("damaged-slide"))
        with catalog._db.read() as session:
            assert session.query(TurnRow).count() == 2
        clock.wait(days=31)
        catalog.bury()
        with catalog._db.read() as session:
            assert session.query(TurnRow).count() == 0

    def test_who_holds_fewer_workers_is_next(self, catalog, bring):
        """Slow slides take longer turns: the owner with nothing under way comes before one with two."""
        for owner in ("a", "a", "a"):
            bring(owner)
        held = [catalog.claim_next(KINDS, "w") for _ in range(2)]
        bring("b")
        bring("b")
        assert [catalog.job(catalog.claim_next(KINDS, "w").job).owner for _ in range(3)] == ["b", "b", "a"]
        assert len(held) == 2

    def test_urgent_work_comes_first_and_the_rest_last(self, catalog, bring):
        """A curator's slide before a batch, tiling again after everything."""
        later, usual, first = (bring("a", priority) for priority in (Priority.LATER, Priority.USUAL, Priority.FIRST))
        assert [catalog.claim_next(KINDS, "w").job for _ in range(3)] == [first, usual, later]
        assert catalog.claim_next(KINDS, "w") is None

    def test_urgent_work_in_numbers_is_a_batch(self, catalog, bring):
        """Otherwise everything a curator uploads would be urgent."""
        jobs = [catalog.job(bring("curator", Priority.FIRST)) for _ in range(FIRST_AT_ONCE + 2)]
        assert [job.priority for job in jobs] == [Priority.FIRST] * FIRST_AT_ONCE + [Priority.USUAL] * 2

    def test_a_lapsed_job_is_taken_over_in_its_turn(self, catalog, bring, clock):
        """And a job that used up its attempts is settled on the way to the next."""
        dead, alive = bring("a"), bring("a")
        for attempt in (1, 2, 3):
            claim = catalog.claim_next(KINDS, "w")
            assert (claim.job, claim.attempt) == (dead, attempt)
            clock.wait(seconds=61)
        assert catalog.claim_next(KINDS, "w").job == alive
        assert catalog.job(dead).code == "worker-lost"

    @pytest.mark.parametrize(
        ("scope", "name", "left"),
        [(Scope.EVERYTHING, "", []), (Scope.OWNER, "a", ["b", "b"]), (Scope.COLLECTION, "trial", ["a", "b"])],
    )
    def test_what_is_paused_does_not_begin(self, catalog, bring, scope, name, left):
        """Neither hinted nor begun, and no sign of a worker that hangs; all of it once resumed."""
        for owner, collection in (("a", "default"), ("b", "default"), ("b", "trial")):
            bring(owner, collection=collection)
        catalog.pause(scope, name, "ops")
        catalog.pause(scope, name, "ops")
        assert [(pause.scope, pause.name, pause.actor) for pause in catalog.pauses()] == [(scope, name, "ops")]
        assert len(catalog.hints_due()) == len(left)
        begun = [catalog.claim_next(KINDS, "w") for _ in range(4)]
        assert [catalog.job(claim.job).owner for claim in begun if claim] == left
        catalog.resume(scope, name, "ops")
        assert catalog.pauses() == ()
        assert sum(catalog.claim_next(KINDS, "w") is not None for _ in range(4)) == 3 - len(left)

    def test_workers_who_ask_at_once_get_different_jobs(self, catalog, bring):
        """Each job once, and everybody gets one while there is work."""
        jobs = {bring(owner) for owner in "aabbccdd"}
        with ThreadPoolExecutor(8) as pool:
            claims = list(pool.map(lambda number: catalog.claim_next(KINDS, f"w{number}"), range(8)))
        assert {claim.job for claim in claims if claim} == jobs


class TestSqlite(TurnsContract):
    """Embedded."""

    @pytest.fixture
    def url(self, sqlite_url):
        return sqlite_url


@pytest.mark.postgres
class TestPostgres(TurnsContract):
    """By URL."""

    @pytest.fixture
    def url(self, postgres_url):
        return postgres_url
