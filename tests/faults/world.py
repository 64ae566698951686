"""An archive with workers, people and time, each of which acts in any order: what must hold after every one of them."""

from __future__ import annotations

import copy
import hashlib
import random
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive import kept, tidying
from coverslip.archive.archive import Archive
from coverslip.archive.catalog import Catalog
from coverslip.archive.database import Database
from coverslip.archive.kinds import JobKind
from coverslip.archive.originals import Originals
from coverslip.archive.pauses import Scope
from coverslip.archive.places import places
from coverslip.archive.records import Refused, SetAside
from coverslip.archive.states import AT_WORK, BY_PEOPLE, MOVES, READABLE, JobState, State
from coverslip.archive.storage import Storage, Zone
from coverslip.archive.terms import Terms
from coverslip.archive.turns import Priority
from coverslip.archive.uploads import OPEN as OPEN_UPLOAD
from coverslip.archive.vault import Vault
from coverslip.errors import Cancelled, LeaseLost, NotFound, OriginalPurged, StateConflict, StorageFailed
from coverslip.settings import Settings
from service.errors import UploadExpired
from service.receiving import unless_ended
from tests.archive.conftest import StoppedClock
from tests.faults.crashing import PRODUCED
from tests.faults.weights import misweighed

MOST = 4
"""Slides, so that they meet what is done to them."""
OWNERS = ("first", "second")
CODES = ("child-crashed", "storage-full", "damaged-slide", "cancelled", "child-not-started")
FAILURES = ("put off", "given back", *CODES)
ENDS = ("made",) * 8 + ("aside", "refused", *FAILURES)
SAYS_NO = (StateConflict, OriginalPurged)
"""What people are told who ask for what cannot be."""
GONE = (LeaseLost, Cancelled)
"""What a worker is told that is too late."""
OPEN = frozenset({JobState.QUEUED, JobState.RUNNING})
OVERDUE = timedelta(hours=1)


def told_no():
    """What people are told of an upload that is over, not complete, or written by a newer request."""
    return suppress(NotFound, StateConflict, UploadExpired, LeaseLost)


class World:
    """An archive, all who ask it for something, and a clock; `dice` say who is next, and which slide it is about."""

    def __init__(self, folder, url, seed, *, length=260, **where):
        """An upload has `length` bytes; `where`: settings that say so when all of it lies in a bucket."""
        self.dice, self.clock, self.storage = random.Random(seed), StoppedClock(), Storage(folder / "data")
        terms = Terms(complete_pyramids=True, patience=3)
        self.catalog = Catalog(Database(url), vault=Vault(b"k" * 32), clock=self.clock, terms=terms)
        place = places(Settings(data_dir=folder / "data", **where), self.storage)
        originals = Originals(place.originals, b"k" * 32)
        self.archive = Archive(
            self.catalog,
            self.storage,
            originals,
            clean=place.clean,
            arrivals=place.arrivals(self.catalog, originals, self.storage),
            keep_originals=OVERDUE,
        )
        self.data = random.Random(0).randbytes(length)
        self.uploads, self.sids, self.claims, self.most = [], [], [], MOST

    def somebody(self, seed):
        """Who else acts in it, with dice of their own."""
        other = copy.copy(self)
        other.dice = random.Random(seed)
        return other

    def step(self):
        """One act of somebody's; each of them may be told no, and nothing else."""
        acts = (self.claim,) * 4 + (self.end,) * 4 + (self.decide,) * 5 + (self.ask, self.ask_of_job, self.wait) * 3
        others = (self.beat, self.purge, self.replay_all, self.pause, self.sweep, self.tidy)
        bring = (self.bring,) * (4 if len(self.sids) < self.most else 0)
        self.uploads[:] = self.uploads[-MOST:]  # who brought older ones has given them up
        self.dice.choice((*bring, *acts, *others, self.send, self.finish, self.abort))()

    def bring(self):
        """A new upload, mostly whole at once; others are left to whoever goes on with them, or to their time."""
        until = self.clock.now + OVERDUE
        upload = self.catalog.create_upload(self.dice.choice(OWNERS), len(self.data), until, "x.svs", {})
        self.uploads.append(upload.uid)
        if self.dice.random() < 0.7:
            with self.may_be_over(upload.uid):
                self.send_to(upload.uid, len(self.data))
                self.finish_one(upload.uid)

    def send(self):
        """Go on where an upload is, perhaps while somebody else does."""
        if self.uploads:
            uid = self.dice.choice(self.uploads)
            with self.may_be_over(uid):
                self.send_to(uid, self.dice.randrange(len(self.data)))

    def send_to(self, uid, length):
        generation = self.archive.begin_patch(uid)
        with closing(self.archive.writer(self.catalog.upload(uid), generation)) as writer:
            writer.write(self.data[writer.offset :][:length])
            writer.keep(writer.mark())

    def finish(self):
        if self.uploads:
            uid = self.dice.choice(self.uploads)
            with self.may_be_over(uid):
                self.finish_one(uid)

    @contextmanager
    def may_be_over(self, uid):
        """Whoever writes may be told no; that the bucket failed only when somebody ended what was written to."""
        try:
            with told_no(), unless_ended():
                yield
        except StorageFailed:  # nanio's words for a part, or a file, that is deleted at this moment
            assert self.catalog.upload(uid).state != OPEN_UPLOAD

    def finish_one(self, uid):
        """As the front end does, when all is there."""
        upload = self.catalog.upload(uid)
        if upload.offset == upload.length:
            self.sids.append(self.archive.finish_upload(upload, "strict", "default", self.is_what_was_sent))

    def is_what_was_sent(self, digest):
        assert digest == hashlib.sha256(self.data).hexdigest()

    def abort(self):
        if self.uploads:
            with told_no():
                self.archive.terminate_upload(self.dice.choice(self.uploads), "owner")

    def claim(self):
        """Whatever is wrong with one job, there is an answer."""
        claim = self.catalog.claim_next(tuple(JobKind), self.dice.choice("abc"))
        self.claims += [] if claim is None else [claim]

    def beat(self):
        if self.claims:
            with suppress(*GONE):
                self.catalog.heartbeat(self.dice.choice(self.claims), "write", 0.5)

    def end(self):
        """A worker says how it ended, perhaps after it was thought dead; a failure once in a while twice."""
        if self.claims:
            claim = self.dice.choice(self.claims)
            twice = self.dice.random() < 0.1
            if not twice:
                try:
                    self.claims.remove(claim)
                except ValueError:  # somebody else speaks for that one: no claim has two workers
                    return
            try:
                with suppress(*GONE):
                    self.say(claim, self.dice.choice(FAILURES if twice else ENDS))
            except (StorageFailed, FileNotFoundError):  # its draft went: only whoever took over may do that
                with pytest.raises(GONE):
                    self.catalog.require_held(claim)

    def say(self, claim, how):
        match how:
            case "put off":
                self.catalog.put_off(claim, "storage-full")
            case "given back":
                self.catalog.release(claim)
            case "made" | "aside" | "refused":
                with self.storage.scratch(claim.sid, claim.artefact) as draft:
                    (self.clean if claim.kind == JobKind.DEIDENTIFY else self.complete)(claim, draft, how)
            case code:
                self.catalog.fail(claim, code)

    def clean(self, claim, draft, how):
        if how == "made":
            (draft / "slide.svs").write_bytes(self.data)
            (draft / "slide.pyramid").write_bytes(b"sparse")
            kept.keep(draft)
            self.catalog.verified(claim, PRODUCED)
            self.archive.publish(claim, draft, PRODUCED)
        else:
            (draft / "slide.findings.json").write_text("{}")
            verdict = SetAside("unknown-structure") if how == "aside" else Refused("damaged-slide")
            self.archive.set_aside(claim, verdict, draft / "slide.findings.json")

    def complete(self, claim, draft, how):
        (draft / "slide.pyramid").write_bytes(b"complete")
        with suppress(StateConflict):  # somebody decided meanwhile
            self.archive.complete_pyramid(claim, draft)

    def decide(self):
        """Mostly what may be."""
        if self.sids:
            sid = self.dice.choice(self.sids)
            legal = sorted(MOVES[self.catalog.slide(sid).state] & BY_PEOPLE)
            to = self.dice.choice(legal if legal and self.dice.random() < 0.8 else list(State))
            with suppress(*SAYS_NO):
                self.archive.transition(sid, to, "curator", "because")

    def ask(self):
        """Mostly what may be."""
        if self.sids:
            sid = self.dice.choice(self.sids)
            over = self.catalog.slide(sid).state in (State.FAILED, State.QUARANTINED)
            likely, other = (self.catalog.retry, self.catalog.cancel_slide)[:: 1 if over else -1]
            with suppress(*SAYS_NO):
                (likely if self.dice.random() < 0.8 else other)(sid, "curator")

    def ask_of_job(self):
        if jobs := self.jobs():
            act = self.dice.choice((self.catalog.cancel, self.catalog.replay, self.prefer))
            with suppress(*SAYS_NO):
                act(self.dice.choice(jobs).id)

    def prefer(self, job):
        self.catalog.prefer(job, self.dice.choice(tuple(Priority)))

    def purge(self):
        if self.sids:
            with suppress(*SAYS_NO):
                self.archive.purge(self.dice.choice(self.sids), "curator")

    def replay_all(self):
        self.catalog.replay_all(self.dice.choice(CODES))

    def pause(self):
        scope, name = self.dice.choice(((Scope.EVERYTHING, ""), (Scope.OWNER, "first")))
        self.dice.choice((self.catalog.pause, self.catalog.resume, self.catalog.resume))(scope, name)

    def wait(self):
        self.clock.wait(seconds=self.dice.choice((1, 10, 61, 400, 4000)))

    def sweep(self):
        self.catalog.bury()
        for kind in JobKind:
            self.catalog.hints_due(kind)

    def tidy(self):
        tidying.reconcile(self.archive)
        tidying.expire_uploads(self.archive, self.clock.now)
        tidying.purge_overdue(self.archive, self.clock.now)
        tidying.discard_ended(self.archive)
        tidying.discard_drafts(self.archive)
        tidying.collect(self.archive, self.clock.now)

    def slides(self):
        """As their records are now."""
        return [self.catalog.slide(sid) for sid in self.sids]

    def jobs(self):
        """All there are; none is ever deleted."""
        return [job for sid in self.sids for job in self.catalog.jobs(sid)]

    def check(self):
        """A slide is at work exactly while one open job cleans it; public is what is released; purged is purged."""
        if self.archive.clean is self.storage:  # a bucket has no zones: there the record alone says who may read
            released = {(each.sid, each.artefact) for each in self.slides() if each.state is State.RELEASED}
            assert set(self.storage.artefacts_in(Zone.RELEASED)) == released
        for slide in self.slides():
            jobs = self.catalog.jobs(slide.sid)
            cleaning = [job for job in jobs if job.kind == JobKind.DEIDENTIFY and job.state in OPEN]
            assert len(cleaning) == (slide.state in AT_WORK), (slide.state, cleaning)
            if slide.state in READABLE:
                assert self.archive.file(slide, "slide.svs").read(1 << 20, 0) == self.data
            try:
                assert b"".join(self.archive.original(slide.uid).pieces()) == self.data
            except OriginalPurged:
                assert list(self.archive.originals.store.names(slide.uid)) == []

    def settle(self):
        """Nobody disturbs any more: everything comes to an end, and nothing is left that no record wants."""
        for scope, name in ((Scope.EVERYTHING, ""), (Scope.OWNER, "first")):
            self.catalog.resume(scope, name)
        for _ in range(3):  # jobs that fell silent, or were put off
            self.clock.wait(seconds=400)
            self.catalog.bury()
            while (claim := self.catalog.claim_next(tuple(JobKind), "a")) is not None:
                with suppress(*GONE):
                    self.say(claim, "made")
        assert [job for job in self.jobs() if job.state in OPEN] == []
        self.check()
        self.clock.wait(hours=2)
        self.tidy()
        self.clock.wait(hours=2)
        tidying.collect(self.archive, datetime.now(UTC) + timedelta(days=2))
        self.check()
        assert sum(self.catalog.counts().values()) == len(self.sids), "who brought one was told no"
        known = {(each.sid, each.artefact) for each in self.slides()}
        orphans = set(self.archive.clean.artefacts_in(Zone.REVIEW)) - known
        assert not orphans, [(sid, name, self.catalog.events(sid)) for sid, name in orphans]
        drafts = [self.catalog.slide(sid).state for sid, _, _ in self.storage.drafts()]
        assert set(drafts) <= {State.QUARANTINED, State.FAILED}, "a retry goes on with them"
        assert self.archive.arrivals.lying() == frozenset()
        assert {each.name for each in self.archive.originals.store.names()} == self.catalog.original_names()
        assert not misweighed(self.catalog)
