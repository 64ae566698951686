"""Clocks that jump: work may be delayed or done again, but it takes effect once and is never lost."""

import os
import random
import shutil
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive.archive import Archive
from coverslip.archive.states import State
from coverslip.archive.storage import Zone
from coverslip.errors import LeaseLost
from coverslip.settings import Settings
from tests.faults.crashing import PRODUCED
from tests.faults.rig import ORIGINAL, upload
from workers.sweeper import tidy

SEEDS = range(int(os.environ.get("COVERSLIP_CLOCK_SEEDS", "3")))
MACHINES, JOBS, STEPS = 3, 12, 150
FARTHEST = 2 * 3600
"""Seconds a clock jumps, either way; a lease is a minute."""


class Machine:
    """A worker with a clock of its own, which takes jobs and holds several."""

    def __init__(self, name, folder, chance):
        self.name, self.chance = name, chance
        self.archive = Archive.open(Settings(data_dir=folder, retry_delay="0", max_attempts=100_000), with_vault=True)
        self.held, self.refused = [], 0
        self.off = 0.0
        self.archive.catalog._now = lambda: datetime.now(UTC) + timedelta(seconds=self.off)

    def jump(self):
        """The clock is set, to anything or to what is right."""
        self.off = self.chance.choice([0.0, self.chance.uniform(-FARTHEST, FARTHEST)])

    def take(self):
        """A job, if this machine thinks there is one."""
        claim = self.archive.catalog.claim_next(("deidentify",), self.name)
        if claim is not None:
            self.held.append(claim)

    def beat(self):
        """Renew a claim."""
        self._with_one(lambda claim: self.archive.catalog.heartbeat(claim))

    def finish(self):
        """Publish what is held."""
        self._with_one(self._publish)

    def _publish(self, claim):
        self.held.remove(claim)
        with self.archive.storage.scratch(claim.sid, claim.artefact) as draft:
            with self.archive.plain_original(claim, lambda: None) as source:
                shutil.copyfile(source, draft / "slide.svs")
            self.archive.publish(claim, draft, PRODUCED)

    def _with_one(self, act):
        if self.held:
            claim = self.chance.choice(self.held)
            try:
                act(claim)
            except LeaseLost:
                self.refused += 1
                self.held = [other for other in self.held if other is not claim]


@pytest.mark.parametrize("seed", SEEDS)
def test_clocks_that_jump(quick_folder, seed):
    """Three machines, each with its own idea of the time, on one catalogue: every slide is published exactly once."""
    chance = random.Random(seed)
    machines = [Machine(f"worker-{number}@test", quick_folder, chance) for number in range(MACHINES)]
    archive = machines[0].archive
    sids = [upload(archive) for _ in range(JOBS)]
    for _ in range(STEPS):
        machine = chance.choice(machines)
        chance.choice([machine.jump, machine.take, machine.take, machine.beat, machine.finish])()
    assert sum(machine.refused for machine in machines), "no clock ever mattered"
    settle(machines, sids)
    tidy(archive)
    for sid in sids:
        slide = archive.catalog.slide(sid)
        assert [event.after for event in archive.catalog.events(sid)].count("in_review") == 1
        assert slide.artefact.endswith(f"-{archive.catalog.jobs(sid)[-1].token}"), "the one who held it last"
        assert (archive.where_is(slide) / "slide.svs").read_bytes() == ORIGINAL
    assert len(archive.storage.artefacts_in(Zone.REVIEW)) == JOBS
    for machine in machines:
        machine.archive.close()


def settle(machines, sids):
    """All clocks right again, later than any of them ever was: what is left gets done without anybody's help."""
    catalog = machines[0].archive.catalog
    for machine in machines:
        machine.off = 2.0 * FARTHEST
    for _ in range(2 * JOBS):
        for machine in machines:
            machine.take()
            machine.finish()
    assert {catalog.slide(sid).state for sid in sids} == {State.IN_REVIEW}
