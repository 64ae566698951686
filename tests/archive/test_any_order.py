"""Everything that workers, people and time do to the queue, in any order: nothing stops it, and all comes to an end."""

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from coverslip.archive import schema
from coverslip.archive.catalog import Catalog
from coverslip.archive.database import Database
from coverslip.archive.jobs import Terms
from coverslip.archive.kinds import JobKind
from coverslip.archive.pauses import Scope
from coverslip.archive.records import Refused, SetAside
from coverslip.archive.states import AT_WORK, JobState, State
from coverslip.archive.turns import Priority
from coverslip.archive.vault import Vault
from coverslip.errors import Cancelled, LeaseLost, OriginalPurged, StateConflict
from tests.archive.conftest import Filler, StoppedClock

SEQUENCES = int(os.environ.get("COVERSLIP_QUEUE_SEQUENCES", "25"))
SHORT = 100
"""Up to here the sequences are the same in each run."""
STEPS = 50
WORKERS = ("a", "b", "c")
CODES = ("child-crashed", "storage-full", "damaged-slide", "cancelled", "child-not-started")
SAYS_NO = (StateConflict, OriginalPurged)
"""What people are told who ask for what cannot be."""
GONE = (LeaseLost, Cancelled)
"""What a worker is told that is too late."""
OPEN = frozenset({JobState.QUEUED, JobState.RUNNING})
WHICH = st.integers(0, 1 << 20)


class AnyOrder(RuleBasedStateMachine):
    """A catalogue, and all who ask it for something; `which` chooses among what there is."""

    produced = template = None

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="cs-order-")
        path = Path(self.folder.name) / "catalogue.db"
        shutil.copyfile(self.template, path)
        self.clock = StoppedClock()
        terms = Terms(complete_pyramids=True, patience=3)
        self.catalog = Catalog(Database(f"sqlite:///{path}"), vault=Vault(b"k" * 32), clock=self.clock, terms=terms)
        self.filler = Filler(self.catalog, self.clock)
        self.sids, self.claims = [], []

    @initialize()
    def begin(self):
        self.bring("first")

    @rule(owner=st.sampled_from(["first", "second"]))
    def bring(self, owner):
        uid, generation = self.filler.upload(owner)
        self.sids.append(self.catalog.finish_upload(uid, generation, "00" * 32, "strict"))

    @rule(worker=st.sampled_from(WORKERS))
    def claim_next(self, worker):
        """Whatever is wrong with one job, there is an answer."""
        claim = self.catalog.claim_next(tuple(JobKind), worker)
        if claim is not None:
            self.claims.append(claim)

    @rule(which=WHICH)
    def work_on(self, which):
        if self.claims:
            with suppress(*GONE):
                self.catalog.heartbeat(self.claims[which % len(self.claims)], "write", 0.5)

    @rule(which=WHICH, how=st.sampled_from(["made", "aside", "refused", "put off", "given back", *CODES]))
    def end(self, which, how):
        """A worker says how it ended, and is told nothing but that it is too late."""
        if not self.claims:
            return
        claim = self.claims.pop(which % len(self.claims))
        with suppress(*GONE):
            self.say(claim, how)

    def say(self, claim, how):
        match how:
            case "put off":
                self.catalog.put_off(claim, "storage-full")
            case "given back":
                self.catalog.release(claim)
            case "made" | "aside" | "refused" if claim.kind == JobKind.PYRAMID:
                with suppress(StateConflict):  # somebody decided meanwhile
                    self.catalog.finish_pyramid(claim)
            case "made":
                self.catalog.verified(claim, self.produced)
                self.catalog.finish(claim, self.produced)
            case "aside":
                self.catalog.finish(claim, SetAside("unknown-structure"))
            case "refused":
                self.catalog.finish(claim, Refused("damaged-slide"))
            case code:
                self.catalog.fail(claim, code)

    @rule(which=WHICH, to=st.sampled_from(State))
    def decide(self, which, to):
        with suppress(*SAYS_NO):
            self.catalog.transition(self.sids[which % len(self.sids)], to, "curator", "because")

    @rule(which=WHICH, act=st.sampled_from(["cancel_slide", "retry", "purge"]))
    def ask(self, which, act):
        with suppress(*SAYS_NO):
            getattr(self.catalog, act)(self.sids[which % len(self.sids)], "curator")

    @rule(which=WHICH, act=st.sampled_from(["cancel", "replay", "prefer"]))
    def ask_of_job(self, which, act):
        jobs = self.jobs()
        more = (Priority.FIRST,) if act == "prefer" else ()
        with suppress(*SAYS_NO):
            getattr(self.catalog, act)(jobs[which % len(jobs)].id, *more)

    @rule(code=st.sampled_from(CODES))
    def replay_all(self, code):
        self.catalog.replay_all(code)

    @rule(act=st.sampled_from(["pause", "resume"]), owner=st.sampled_from(["", "first"]))
    def pause(self, act, owner):
        getattr(self.catalog, act)(Scope.OWNER if owner else Scope.EVERYTHING, owner)

    @rule(seconds=st.sampled_from([1, 10, 61, 400]))
    def wait(self, seconds):
        self.clock.wait(seconds=seconds)

    @rule()
    def sweep(self):
        self.catalog.bury()
        for kind in JobKind:
            self.catalog.hints_due(kind)

    def jobs(self):
        return [job for sid in self.sids for job in self.catalog.jobs(sid)]

    @invariant()
    def slides_and_jobs_agree(self):
        """A slide is at work exactly while one job is open that cleans it."""
        for sid in self.sids:
            slide = self.catalog.slide(sid)
            cleaning = [job for job in self.catalog.jobs(sid) if job.kind == JobKind.DEIDENTIFY and job.state in OPEN]
            assert len(cleaning) == (slide.state in AT_WORK), (slide.state, cleaning)
            assert (slide.artefact is None) == (slide.clean_name is None)
            assert slide.state not in (State.IN_REVIEW, State.RELEASED) or slide.artefact is not None

    def teardown(self):
        """Nobody disturbs any more: everything comes to an end."""
        try:
            for scope, name in ((Scope.EVERYTHING, ""), (Scope.OWNER, "first")):
                self.catalog.resume(scope, name)
            for _ in range(4 * len(self.jobs()) + 10):
                self.clock.wait(seconds=400)
                self.catalog.bury()
                while (claim := self.catalog.claim_next(tuple(JobKind), "a")) is not None:
                    with suppress(*GONE):
                        self.say(claim, "made")
            assert [job for job in self.jobs() if job.state in OPEN] == []
            assert not {self.catalog.slide(sid).state for sid in self.sids} & AT_WORK
        finally:
            self.catalog.close()
            self.folder.cleanup()


@pytest.mark.slow
def test_the_queue_in_any_order(tmp_path, produced):
    """No claim ever fails because of somebody else's job, and no job is left behind."""
    template = tmp_path / "template.db"
    schema.opened(f"sqlite:///{template}").close()
    machine = type("Machine", (AnyOrder,), {"produced": replace(produced), "template": template})
    chosen = settings(
        max_examples=SEQUENCES,
        stateful_step_count=STEPS,
        deadline=timedelta(minutes=1),
        derandomize=SEQUENCES <= SHORT,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    run_state_machine_as_test(machine, settings=chosen)
