"""What a program loads is never searched for garbage, and all the rest is."""

import gc
import subprocess
import sys

import pytest

from coverslip.loading import loading

PROGRAMS = {
    "service": ("service", "key --help"),
    "workers": ("workers", "--help"),
    "celery": ("workers.celery_worker", "tests.library.idle_app name"),
}


def test_nothing_is_looked_for_meanwhile():
    """And again afterwards, also when loading fails."""
    assert gc.isenabled()
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()


def test_garbage_is_found_afterwards():
    """Only what is there when everything is loaded is left alone."""
    with loading():
        held = [[]]
    assert not any(held is one for one in gc.get_objects())
    later = [[]]
    later.append(later)
    assert any(later is one for one in gc.get_objects())


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_begin_so(name):
    """When their own work begins, most of what there is has been set apart."""
    module, arguments = PROGRAMS[name]
    program = f"""
import atexit, gc, runpy, sys
atexit.register(lambda: print("apart", gc.get_freeze_count() > 4 * len(gc.get_objects())))
sys.argv = ["x", *{arguments.split()}]
runpy.run_module({module!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "apart True", done.stdout
