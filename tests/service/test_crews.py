"""A machine that gives no more threads: a call waits for one there is, or is never made, and none is made too late."""

import asyncio
import threading

import pytest

from service.crews import Crew
from service.errors import Overloaded


@pytest.fixture
def crew():
    """Three threads at most, and no more than five calls."""
    found = Crew("test", 3, waiting=2)
    yield found
    found.close()


@pytest.fixture
def no_threads(monkeypatch):
    """Call it, and no thread starts any more; call what it returns, and they do."""

    def begin():
        def refuse(thread):
            raise RuntimeError("can't start new thread")

        context = monkeypatch.context()
        context.__enter__().setattr(threading.Thread, "start", refuse)
        return lambda: context.__exit__(None, None, None)

    return begin


def test_a_call_that_cannot_begin_is_never_made(crew, no_threads):
    """Python's pool raises and keeps it: the next thread would make it, with files that are somebody else's by then."""
    made = []
    threads_again = no_threads()
    for _ in range(9):
        with pytest.raises(Overloaded):
            asyncio.run(crew.run(made.append, "too late"))
    threads_again()
    assert asyncio.run(crew.run(made.append, "in time")) is None
    assert made == ["in time"]
    assert crew.under_way == 0


def test_it_waits_for_a_thread_there_is(crew, no_threads):
    """One is busy and no other is to be had: what is asked meanwhile comes after it, and is made once."""
    made, go_on = [], threading.Event()

    async def ask():
        busy = asyncio.create_task(crew.run(go_on.wait))
        await asyncio.sleep(0.05)
        threads_again = no_threads()
        waiting = [asyncio.create_task(crew.run(made.append, number)) for number in range(3)]
        await asyncio.sleep(0.05)
        assert (made, crew.under_way) == ([], 4)
        go_on.set()
        await asyncio.gather(busy, *waiting)
        threads_again()

    asyncio.run(ask())
    assert sorted(made) == [0, 1, 2]
    assert crew.under_way == 0


def test_who_waits_in_vain_is_sent_away(no_threads):
    """After its patience, and the call is not made then."""
    made, go_on, impatient = [], threading.Event(), Crew("test", 2, patience=0.05)

    async def ask():
        busy = asyncio.create_task(impatient.run(go_on.wait))
        await asyncio.sleep(0.01)
        threads_again = no_threads()
        with pytest.raises(Overloaded):
            await impatient.run(made.append, "too late")
        threads_again()
        go_on.set()
        assert await busy

    asyncio.run(ask())
    impatient.close()
    assert made == []


def test_what_nobody_waits_for_any_more_is_not_begun(crew):
    """A server that stops ends requests whose calls wait for a thread."""
    made, go_on = [], threading.Event()

    async def ask():
        busy = [asyncio.create_task(crew.run(go_on.wait)) for _ in range(3)]
        gone = asyncio.create_task(crew.run(made.append, "too late"))
        await asyncio.sleep(0.05)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        go_on.set()
        await asyncio.gather(*busy)

    asyncio.run(ask())
    assert (made, crew.under_way) == ([], 0)


def test_what_a_call_raises_is_raised(crew):
    """As it is, whatever it is."""
    with pytest.raises(ZeroDivisionError):
        asyncio.run(crew.run(lambda: 1 // 0))
    assert crew.under_way == 0


def test_a_crew_that_was_sent_home_takes_nothing(crew):
    """What waits for a thread then is told so."""
    go_on = threading.Event()

    async def ask():
        busy = [asyncio.create_task(crew.run(go_on.wait)) for _ in range(3)]
        waiting = asyncio.create_task(crew.run(go_on.wait))
        await asyncio.sleep(0.05)
        crew.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(Overloaded):
            await crew.run(go_on.wait)
        go_on.set()
        await asyncio.gather(*busy)

    asyncio.run(ask())
    assert crew.under_way == 0
