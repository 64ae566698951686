"""The first tile does not wait for what no tile needs."""

import asyncio
import gc
import subprocess
import sys
import threading
import time

from service.later import Later

HEAVY = ("fastapi", "structlog", "jinja2", "openslide", "alembic", "service.routes.images", "service.routes.pages")


def test_a_start_loads_what_tiles_need():
    """`python -m service` reaches its first tile without website, template engine and decoders of slides."""
    program = f"import sys, service.command; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_comes_later_is_made_once():
    """However many threads and tasks ask at the same time, there is one."""
    made, searched = [], []

    def make():
        time.sleep(0.05)
        made.append(object())
        searched.append(gc.isenabled())
        return made[-1]

    part = Later(make)
    threads = [threading.Thread(target=part) for _ in range(4)]

    async def ask():
        return await asyncio.gather(*(part.get() for _ in range(4)))

    for thread in threads:
        thread.start()
    found = asyncio.run(ask())
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert set(found) == set(made)
    assert searched == [False], "nobody looks for garbage in what is being loaded"
    assert gc.isenabled()


LARGE = """
import sys
from service.memory import give_back_large_pieces

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "asked":
    give_back_large_pieces()
before, pins = resident(), []
for _ in range(3):
    large = []
    for _ in range(10):
        large.append(bytearray(6 << 20))
        pins.append(bytes(100_000))
    del large
print((resident() - before) >> 20)
"""


def test_memory_of_large_pictures_goes_back():
    """Sixty MiB freed between small pieces that stay are the kernel's again, where glibc alone would keep them."""
    kept = {}
    for how in ("left alone", "asked"):
        done = subprocess.run([sys.executable, "-c", LARGE, how], capture_output=True, text=True, check=True)
        kept[how] = int(done.stdout)
    assert kept["asked"] < 15
