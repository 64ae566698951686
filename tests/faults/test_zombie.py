"""A worker that is stopped past its lease and wakes up when another has done its work: what it does is refused."""

from datetime import timedelta

import psutil
import pytest

from coverslip.archive.states import State
from tests.faults.rig import Rig, family_of
from tests.processes import suspend

SLOW = 300.0


@pytest.mark.slow
def test_a_worker_that_wakes_up_too_late(tmp_path, socket_dir):
    """SIGSTOP of all its processes in mid-slide, SIGCONT after the slide is done: one publication, nothing of the
    other's left (target 6)."""
    with Rig(tmp_path, socket_dir, workers=1, work="slow_copy", lease=timedelta(seconds=10)) as rig:
        rig.add(1)
        catalog, (sid,) = rig.archive.catalog, rig.sids
        rig.until(lambda: catalog.slide(sid).stage == "write", SLOW)
        asleep = family_of(rig.workers[0])
        suspend(asleep, rig.settings.data_dir / "catalogue.sqlite")
        rig.add_worker()
        rig.until(lambda: catalog.slide(sid).state is State.IN_REVIEW, SLOW)
        done = catalog.slide(sid).artefact
        assert not done.endswith("-1")
        for process in asleep:
            if psutil.pid_exists(process.pid):
                process.resume()
        rig.until(lambda: '"lease lost"' in rig.log(0), SLOW)
        rig.stop()
        assert catalog.slide(sid).artefact == done
        assert rig.tally().is_clean
