"""A short fixed run of the fuzzer over every walker of ours: `make fuzz` is the long one."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("atheris", reason="the fuzzer is made for Linux on x86-64 alone")


def fuzzed(*targets, **environment):
    """The smoke run, with nothing left to chance."""
    command = [sys.executable, "-m", "fuzz.smoke", *targets]
    variables = {**os.environ, "PYTHONHASHSEED": "0", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)


def test_no_walker_raises_what_is_not_typed():
    """The same inputs on every machine, so that this fails for a change of ours and not by chance."""
    done = fuzzed()
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": ok") >= 16


def test_a_finding_fails_the_run():
    """A target that is wrong on purpose, or the run would prove nothing."""
    done = fuzzed("name", COVERSLIP_FUZZ_WRONG="1")
    assert done.returncode == 1
    assert "AssertionError" in done.stdout
