"""Long runs of a few bytes: nothing of ours takes the square of what it is given."""

import subprocess
import sys

from fuzz import runs, targets


def test_every_target_is_done_with_a_long_run_in_seconds():
    """In a process of its own, since its clock is one of the process's."""
    done = subprocess.run([sys.executable, "-m", "fuzz.runs", "--brief"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" s for ") == len(targets.TARGETS)


def test_one_that_takes_too_long_fails_the_run():
    """A target that never ends, or the run would prove nothing."""
    wrong = (
        "from fuzz import runs, targets; runs.SLOWEST = 0.05; runs.UNITS = runs.UNITS[:1];"
        "targets.TARGETS['tiff'] = lambda data: [None for _ in iter(int, 1)];"
        "raise SystemExit(runs.main())"
    )
    done = subprocess.run([sys.executable, "-c", wrong, "tiff"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("TOO LONG")) == (1, 4), done.stdout + done.stderr


def test_inputs_are_long():
    """And none is the same as another; a quarter of them still have each unit, and each place."""
    found, brief = ([data for _, data in runs.inputs("jpeg_stream", brief=is_brief)] for is_brief in (False, True))
    assert len(set(found)) == len(found) == 4 * len(runs.UNITS)
    assert min(map(len, found)) >= runs.LENGTH - max(map(len, runs.UNITS))
    assert set(brief) < set(found)
    assert len(brief) == len(runs.UNITS)
    for place in (" alone", " behind ", " inside ", " before "):
        assert any(place in what for what, _ in runs.inputs("jpeg_stream", brief=True))
