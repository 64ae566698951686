"""What the catalogue promises about jobs and those who do them, on SQLite and on PostgreSQL alike."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from coverslip.archive.models import JobRow, SlideRow
from coverslip.archive.records import Refused, SetAside
from coverslip.archive.states import JobState, State
from coverslip.archive.terms import Terms
from coverslip.errors import Cancelled, LeaseLost, StateConflict
from tests.archive.catalogues import Catalogues, InPostgres, InSqlite


class JobsContract(Catalogues):
    """The promises."""

    def test_one_of_many_claims_wins(self, catalog, filler):
        """However many workers take the hint, one gets the job."""
        _, job = filler.slide()
        with ThreadPoolExecutor(8) as pool:
            claims = list(pool.map(lambda name: catalog.claim(job, f"worker{name}"), range(8)))
        won = [claim for claim in claims if claim is not None]
        assert [(claim.token, claim.attempt) for claim in won] == [(1, 1)]

    def test_a_claim_holds_until_the_lease_ends(self, catalog, filler, clock):
        """Beats renew it; silence loses it."""
        sid, job = filler.slide()
        claim = catalog.claim(job, "a")
        clock.wait(seconds=59)
        catalog.heartbeat(claim, "write", 0.5)
        assert (catalog.slide(sid).stage, catalog.slide(sid).done) == ("write", 0.5)
        clock.wait(seconds=59)
        assert catalog.claim(job, "b") is None
        clock.wait(seconds=2)
        assert catalog.claim(job, "b").token == 2

    def test_a_zombie_is_refused_everything(self, catalog, filler, clock, produced):
        """Whoever slept past the lease can no longer beat, finish, fail or give back."""
        sid, job = filler.slide()
        zombie = catalog.claim(job, "a")
        clock.wait(seconds=61)
        living = catalog.claim(job, "b")
        assert living.artefact != zombie.artefact
        acts = (
            lambda: catalog.heartbeat(zombie),
            lambda: catalog.finish(zombie, produced),
            lambda: catalog.fail(zombie, "child-crashed"),
            lambda: catalog.release(zombie),
        )
        for act in acts:  # while the other works
            with pytest.raises(LeaseLost):
                act()
        catalog.finish(living, produced)
        for act in acts:  # and when the other is done
            with pytest.raises(LeaseLost):
                act()
        assert catalog.slide(sid).artefact == living.artefact

    def test_a_produced_slide_waits_for_review(self, catalog, filler, produced):
        """Pointer, numbers, state, job and event change together."""
        sid, job = filler.slide()
        claim = catalog.claim(job, "a")
        catalog.finish(claim, produced)
        slide = catalog.slide(sid)
        assert (slide.state, slide.artefact, slide.width, slide.mpp.x) == (State.IN_REVIEW, claim.artefact, 2220, 0.499)
        assert catalog.job(job).state is JobState.DONE
        assert [event.after for event in catalog.events(sid)] == ["received", "queued", "processing", "in_review"]

    @pytest.mark.parametrize(
        ("verdict", "state"),
        [(SetAside("unknown-structure", "ifd[3]"), State.QUARANTINED), (Refused("damaged-slide"), State.REJECTED)],
    )
    def test_a_doubt_ends_the_job_with_a_code(self, catalog, filler, verdict, state):
        """Quarantine and refusal are verdicts, not failures: nothing is tried again."""
        sid, job = filler.slide()
        catalog.finish(catalog.claim(job, "a"), verdict)
        slide = catalog.slide(sid)
        assert (slide.state, slide.code, slide.where) == (state, verdict.code, verdict.where or None)
        assert catalog.hints_due() == ()
        assert catalog.queue_stats().failures == {verdict.code: 1}

    def test_three_bad_attempts_quarantine_the_slide(self, catalog, filler, clock):
        """A poison slide is tried three times, each later than the last."""
        sid, job = filler.slide()
        for attempt in (1, 2, 3):
            claim = catalog.claim(job, "a")
            assert claim.attempt == attempt
            catalog.fail(claim, "child-crashed")
            assert catalog.claim(job, "a") is None
            clock.wait(seconds=15)
        assert (catalog.slide(sid).state, catalog.slide(sid).code) == (State.QUARANTINED, "child-crashed")
        assert catalog.job(job).state is JobState.FAILED

    def test_our_own_failures_do_not_blame_the_slide(self, catalog, filler, clock):
        """A full disk three times over leaves the slide `failed`, not quarantined."""
        sid, job = filler.slide()
        for _ in range(3):
            catalog.fail(catalog.claim(job, "a"), "storage-full")
            clock.wait(seconds=15)
        assert catalog.slide(sid).state is State.FAILED

    def test_crashes_count_as_attempts(self, catalog, filler, clock):
        """A worker that dies says nothing, so the attempt was counted beforehand."""
        sid, job = filler.slide()
        for _ in range(3):
            assert catalog.claim(job, "a") is not None
            clock.wait(seconds=61)
        assert catalog.bury() == 1
        assert (catalog.slide(sid).state, catalog.slide(sid).code) == (State.QUARANTINED, "worker-lost")
        assert catalog.claim(job, "a") is None

    def test_a_claim_buries_what_the_sweeper_did_not(self, catalog, filler, clock):
        """The fourth claim of a job that died three times is no claim."""
        sid, job = filler.slide()
        for _ in range(3):
            catalog.claim(job, "a")
            clock.wait(seconds=61)
        assert catalog.claim(job, "a") is None
        assert catalog.slide(sid).state is State.QUARANTINED

    def test_giving_back_is_no_attempt(self, catalog, filler):
        """A worker told to stop leaves the job as if it had not begun, but with a higher token."""
        sid, job = filler.slide()
        catalog.release(catalog.claim(job, "a"))
        assert catalog.slide(sid).state is State.QUEUED
        claim = catalog.claim(job, "b")
        assert (claim.token, claim.attempt) == (2, 1)

    def test_cancel_stops_waiting_and_running_work(self, catalog, filler):
        """At once while it waits, at the next beat while it runs, never when it is over."""
        waiting_sid, waiting = filler.slide()
        catalog.cancel(waiting, "ops")
        assert (catalog.slide(waiting_sid).state, catalog.slide(waiting_sid).code) == (State.FAILED, "cancelled")
        running_sid, running = filler.slide()
        claim = catalog.claim(running, "a")
        catalog.cancel(running, "ops")
        with pytest.raises(Cancelled):
            catalog.heartbeat(claim)
        catalog.fail(claim, "cancelled")
        assert catalog.slide(running_sid).state is State.FAILED
        assert catalog.job(running).state is JobState.CANCELLED
        with pytest.raises(StateConflict):
            catalog.cancel(running, "ops")

    def test_retry_starts_afresh(self, catalog, filler, clock):
        """A new job with new attempts, and artefact names no older job had."""
        sid, job = filler.slide()
        old = catalog.claim(job, "a")
        catalog.finish(old, SetAside("unknown-structure"))
        clock.wait(seconds=1)
        catalog.retry(sid, "curator")
        (_, again) = catalog.jobs(sid)
        claim = catalog.claim(again.id, "a")
        assert claim.attempt == 1
        assert claim.artefact != old.artefact
        assert catalog.slide(sid).code is None
        with pytest.raises(StateConflict):
            catalog.retry(sid, "curator")

    def test_there_are_as_many_hints_as_work(self, catalog, filler, clock):
        """What the broker holds is counted, so that a lost hint is missed at once; a lapsed lease is work too."""
        first, second = filler.slide()[1], filler.slide()[1]
        assert set(catalog.hints_due()) == {first, second}
        assert len(catalog.hints_due(held=1)) == 1
        assert catalog.hints_due(held=2) == catalog.hints_due(held=5, limit=3) == ()
        assert len(catalog.hints_due(limit=1)) == 1
        catalog.claim(first, "a")
        assert catalog.hints_due() == (second,)
        clock.wait(seconds=61)
        assert set(catalog.hints_due()) == {first, second}

    def test_a_failed_attempt_waits_before_it_is_hinted(self, catalog, filler, clock):
        """The delay before another attempt holds for the hint too."""
        _, job = filler.slide()
        catalog.fail(catalog.claim(job, "a"), "child-crashed")
        assert catalog.hints_due() == ()
        clock.wait(seconds=5)
        assert catalog.hints_due() == (job,)

    def test_one_process_has_a_duty(self, catalog, clock):
        """It keeps it while it renews, and loses it when it falls silent."""
        hold = timedelta(seconds=10)
        assert catalog.take_duty("sweep", "a", hold)
        assert not catalog.take_duty("sweep", "b", hold)
        clock.wait(seconds=9)
        assert catalog.take_duty("sweep", "a", hold)
        clock.wait(seconds=10)
        assert catalog.take_duty("sweep", "b", hold)

    def test_one_of_many_takes_a_duty_nobody_ever_had(self, catalog):
        """Processes that start together all find no record of it."""
        with ThreadPoolExecutor(8) as pool:
            for name in "0123456789":
                taken = pool.map(lambda holder, name=name: catalog.take_duty(name, holder, timedelta(1)), "abcdefgh")
                assert sorted(taken) == [False] * 7 + [True]

    def test_a_worker_is_seen_and_leaves_at_once(self, catalog):
        """Whichever comes first."""
        with ThreadPoolExecutor(8) as pool:
            for each in [pool.submit(act, "a") for act in (catalog.worker_seen, catalog.worker_gone) * 50]:
                each.result()

    def test_a_duty_taken_by_a_wrong_clock_is_not_kept_for_hours(self, catalog, clock):
        """Nobody would look for what got lost until that hour has come."""
        hold = timedelta(seconds=10)
        clock.wait(hours=2)
        assert catalog.take_duty("sweep", "a", hold)
        clock.wait(hours=-2)
        assert catalog.take_duty("sweep", "b", hold)
        assert not catalog.take_duty("sweep", "c", hold)

    def test_queue_figures_say_how_long_work_waits(self, catalog, filler, clock, produced):
        """Depth, age, running work, workers and throughput."""
        filler.slide()
        clock.wait(seconds=40)
        _, job = filler.slide()
        claim = catalog.claim(job, "a")
        catalog.worker_seen("a")
        stats = catalog.queue_stats()
        assert (stats.depth, stats.oldest_age, stats.running) == (1, 40.0, 1)
        assert [(worker.name, worker.job) for worker in stats.workers] == [("a", job)]
        catalog.finish(claim, produced)
        catalog.worker_gone("a")
        stats = catalog.queue_stats()
        assert (stats.finished_per_minute, stats.workers) == (0.2, ())

    def test_a_worker_that_idles_beside_waiting_work_is_stalled(self, catalog, filler, clock):
        """Waiting work alone is no stall: the worker may be busy."""
        patience = timedelta(seconds=60)
        filler.slide()
        _, job = filler.slide()
        assert not catalog.is_stalled("a", 1, patience)
        clock.wait(seconds=61)
        assert catalog.is_stalled("a", 1, patience)
        catalog.claim(job, "a")
        assert not catalog.is_stalled("a", 1, patience)

    @pytest.mark.parametrize("how", ["fail", "put_off", "release", "taken over", "buried"])
    def test_a_job_that_is_to_stop_does_not_come_back(self, catalog, filler, clock, how):
        """Its worker ended it otherwise before it noticed, or died: nobody begins it again just to stop it."""
        sid, job = filler.slide()
        claim = catalog.claim(job, "a")
        catalog.cancel(job, "ops")
        clock.wait(seconds=61)
        match how:
            case "fail" | "put_off":
                getattr(catalog, how)(claim, "storage-full")
            case "release":
                catalog.release(claim)
            case "taken over":
                assert catalog.claim_next(["deidentify"], "b") is None
            case _:
                assert catalog.bury() == 1
        assert (catalog.slide(sid).state, catalog.slide(sid).code) == (State.FAILED, "cancelled")
        assert catalog.job(job).state is JobState.CANCELLED

    @pytest.mark.parametrize("to", [State.REJECTED, State.QUARANTINED])
    def test_nobody_decides_about_a_slide_at_work(self, catalog, filler, to):
        """Its job would come to an end that cannot be: who wants to decide cancels it first."""
        sid, job = filler.slide()
        claim = catalog.claim(job, "a")
        with pytest.raises(StateConflict):
            catalog.transition(sid, to, "curator")
        catalog.cancel(job)
        catalog.fail(claim, "cancelled")
        assert catalog.transition(sid, State.REJECTED, "curator").state is State.REJECTED

    @pytest.mark.parametrize("attempts", [1, 3])
    def test_a_job_that_cannot_end_stops_nobody(self, catalog, filler, clock, attempts):
        """Somebody at the database decided about its slide all the same: it is over, and the next one is taken."""
        sid, job = filler.slide()
        for _ in range(attempts):
            assert catalog.claim(job, "a")
            clock.wait(seconds=61)
        with catalog._db.write() as session:
            session.get(SlideRow, sid).state = State.REJECTED
        _, other = filler.slide()
        if attempts == 3:
            assert catalog.bury() == 1
        assert catalog.claim_next(["deidentify"], "b").job == other
        assert catalog.job(job).state is JobState.CANCELLED
        assert catalog.slide(sid).state is State.REJECTED

    @pytest.mark.parametrize("facts", ['{"from": "another version"}', "{", "7"])
    def test_a_draft_of_another_version_stops_nobody(self, catalog, filler, facts):
        """Nobody could claim anything after an upgrade; the slide is cleaned anew instead."""
        _, job = filler.slide()
        with catalog._db.write() as session:
            session.get(JobRow, job).verified, session.get(JobRow, job).facts = "0000-1", facts
        assert catalog.claim_next(["deidentify"], "a").facts is None

    def test_a_draft_is_vouched_for_by_the_version_that_is_there(self, catalog, filler, clock, produced, monkeypatch):
        """An upgrade may be there because the verifier missed something: the slide goes through it again."""
        _, job = filler.slide()
        claim = catalog.claim(job, "a")
        catalog.verified(claim, produced)
        clock.wait(seconds=61)
        assert catalog.claim(job, "b").facts == produced
        monkeypatch.setattr("coverslip.archive.claims.version_of", lambda name: "another")
        clock.wait(seconds=61)
        assert catalog.claim(job, "c").facts is None

    def test_max_attempts_is_a_setting(self, open_catalog, url, fill, clock):
        """Somebody may want one attempt only."""
        catalog = open_catalog(url, terms=Terms(max_attempts=1))
        sid, job = fill(catalog).slide()
        catalog.fail(catalog.claim(job, "a"), "child-timed-out")
        assert catalog.slide(sid).state is State.QUARANTINED

    @pytest.mark.parametrize(
        ("code", "terms"),
        [("storage-away", Terms()), ("storage-full", Terms(patience=2)), ("child-not-started", Terms(patience=2))],
    )
    def test_what_the_machine_could_not_do_is_no_attempt(self, open_catalog, url, fill, clock, code, terms):
        """The job waits, twice as long each time up to five minutes; after four hours it counts as any failure."""
        catalog = open_catalog(url, terms=terms)
        sid, job = fill(catalog).slide()
        waits = [min(5 * 2**count, 300) for count in range(terms.patience)]
        assert terms != Terms() or 3 * 3600 < sum(waits) < 6 * 3600
        for wait in (0, *waits, 5, 10):
            assert catalog.queue_stats().held_up == ({code: 1} if wait else {})
            if wait:
                clock.wait(seconds=wait - 1)
                assert catalog.claim(job, "a") is None
                clock.wait(seconds=1)
            assert catalog.slide(sid).state is State.QUEUED
            catalog.put_off(catalog.claim(job, "a"), code)
        assert catalog.slide(sid).state is State.FAILED
        assert catalog.job(job).attempts == 3


class TestSqlite(InSqlite, JobsContract):
    """In one file."""


@pytest.mark.postgres
class TestPostgres(InPostgres, JobsContract):
    """On a server."""
