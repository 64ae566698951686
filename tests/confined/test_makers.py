"""Tiles made behind walls: the same bytes as here, and what a stored tile does to its maker it does to nobody else."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import psutil
import pytest
import simplejpeg

from coverslip.confined import calls, maker, makers
from coverslip.confined.doctor import examine
from coverslip.confined.makers import Makers
from coverslip.confined.spawn import CHECKOUT
from coverslip.errors import ConfinementFailed, DamagedSlide
from coverslip.pyramid.on_request import Order, Piece, made
from coverslip.pyramid.recipes import Codec, Recipe
from samples.codecs import j2k, packed

SIDE = 256
PICTURE = np.random.default_rng(0).integers(0, 255, (SIDE // 8, SIDE // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
PICTURE = np.ascontiguousarray(PICTURE)
J2K = Piece(Recipe(Codec.JPEG_2000, 3, False, False).pack(), j2k(PICTURE, 40, mct=True))
LZW = Piece(Recipe(Codec.LZW, 3, True, False).pack(), packed(PICTURE, "lzw", 2))
PLAIN = Piece(b"", simplejpeg.encode_jpeg(PICTURE, quality=80))
SOUND = Order((J2K,), SIDE, 3, 80)


@pytest.fixture(scope="module")
def two():
    """At most two at a time."""
    found = Makers(2)
    yield found
    found.close()


def below():
    """Makers this process started that live."""
    found = psutil.Process().children(recursive=True)
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE and _is_maker(process)]


def _is_maker(process):
    return "coverslip.confined.maker" in process.cmdline()


@pytest.mark.parametrize("pieces", [(J2K,), (LZW,), (J2K, LZW, PLAIN, J2K), (J2K, J2K, J2K, J2K)])
def test_it_makes_what_would_be_made_here(pieces, two):
    """One piece or four, of whichever codec."""
    order = Order(pieces, SIDE, 3, 80)
    assert two(order) == made(order)


def test_grey_is_made_as_grey(two):
    """One sample in, one out."""
    piece = Piece(Recipe(Codec.DEFLATE, 1, False, False).pack(), packed(PICTURE[..., :1], "deflate"))
    order = Order((piece,), SIDE, 1, 70)
    assert two(order) == made(order)
    assert simplejpeg.decode_jpeg_header(two(order))[2] == "Gray"


def test_damage_ends_nobody(two):
    """A typed error, and the same process goes on."""
    two(SOUND)
    pids = {process.pid for process in below()}
    for data in (b"", b"\xff\x4f\xff\x51\x00", J2K.data[:200], bytes(3000)):
        with pytest.raises(DamagedSlide):
            two(Order((Piece(J2K.recipe, data),), SIDE, 3, 80))
    with pytest.raises(DamagedSlide):
        two(Order((Piece(rb"\9\9\9\9", J2K.data),), SIDE, 3, 80))
    assert two(SOUND) == made(SOUND)
    assert {process.pid for process in below()} == pids


def greedy():
    """A tile of 512 pixels whose header asks for half a gigabyte of bookkeeping."""
    data = bytearray(imagecodecs.jpeg2k_encode(np.zeros((512, 512, 3), np.uint8), 40, codecformat="J2K", mct=False))
    cod = data.index(b"\xff\x52")
    data[cod + 5] = 4
    data[cod + 6 : cod + 8] = b"\xff\xff"
    data[cod + 14 : cod + 20] = b"\x11" * 6
    sot = data.index(b"\xff\x90")
    data[sot + 6 : sot + 10] = bytes(4)
    return bytes(data[:-2]) + bytes(300_000)


def test_a_tile_that_wants_too_much_memory_is_damage(two):
    """It is refused behind the wall; nothing of it is felt here."""
    with pytest.raises(DamagedSlide):
        two(Order((Piece(J2K.recipe, greedy()),), 512, 3, 80))
    peaks = [int(_status(process.pid)["VmHWM"].split()[0]) >> 10 for process in below()]
    assert max(peaks) < maker.MEMORY >> 20
    assert two(SOUND) == made(SOUND)


def _status(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_one_that_was_killed_is_replaced_and_no_tile_blamed(two):
    """As the kernel does when memory is short."""
    two(SOUND)
    for process in below():
        process.kill()
        process.wait()
    assert two(SOUND) == made(SOUND)


def test_a_tile_that_ends_its_maker_is_damage(two):
    """Killed while it works: this tile is an error, the next is made by another."""
    two(SOUND)
    for busy in below():
        busy.suspend()
        threading.Timer(0.3, busy.kill).start()
    with pytest.raises(DamagedSlide):
        two(SOUND)
    assert two(SOUND) == made(SOUND)


def test_one_that_hangs_is_given_up(two, monkeypatch):
    """No answer in time: killed, and the tile is an error."""
    two(SOUND)
    monkeypatch.setattr(makers, "PATIENCE", 0.2)
    monkeypatch.setattr(makers, "GRACE", 0.2)
    hanging = below()
    for process in hanging:
        process.suspend()
    begin = time.monotonic()
    for _ in hanging:
        with pytest.raises(DamagedSlide):
            two(SOUND)
    assert time.monotonic() - begin < 5
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in hanging)
    monkeypatch.undo()
    assert two(SOUND) == made(SOUND)


def test_it_ends_itself_when_a_library_does_not_return(monkeypatch):
    """Its own clock is the kernel's, which a busy library cannot ignore, and behind the walls it may still be set."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(maker, "PATIENCE", 1)
        monkeypatch.setattr(maker, "made", lambda order: time.sleep(60))
        monkeypatch.setattr(maker, "MEMORY", 1 << 40)  # what these tests have loaded is not the maker's
        ours.close()
        try:
            maker.main([str(theirs.fileno()), "as far as possible"])
        finally:
            os._exit(3)
    theirs.close()
    assert ours.recv(1) == maker.READY
    ours.sendall(maker.packed(SOUND))
    assert ours.recv(1) == b""
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGALRM


@pytest.mark.parametrize("head", [(1, 1 << 31), (0, 5), (1, 0), (7, 9)])
def test_one_that_says_something_else_is_not_believed(head):
    """Lengths are checked before anything is allocated for them, and whoever lies is ended."""
    ours, theirs = socket.socketpair()

    class Liar:
        _socket, is_alive, ended = ours, True, False
        ask, _received = makers._Maker.ask, makers._Maker._received

        def end(self):
            self.ended = True

    liar, one = Liar(), Makers(1)
    one._idle.append(liar)
    theirs.sendall(maker.ANSWER.pack(*head) + b"nothing like a JPEG")
    with theirs, ours, pytest.raises(DamagedSlide):
        one(SOUND)
    assert liar.ended


def test_more_who_ask_than_makers_wait(two):
    """Eight threads, two processes, every answer right."""
    orders = [SOUND, Order((LZW,), SIDE, 3, 80), Order((J2K, LZW, PLAIN, J2K), SIDE, 3, 80)] * 8
    expected = [made(order) for order in orders]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(two, orders)) == expected
    assert len(below()) <= 2


def test_it_lives_behind_the_walls_there_are(two):
    """No new privileges and a filter of system calls, where the kernel has them; no file, no network, no terminal."""
    two(SOUND)
    (process, *_) = below()
    status = _status(process.pid)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2" or calls.program() is None
    names = {entry.readlink().name for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
    assert {name.partition(":")[0] for name in names} <= {"null", "socket"}


def test_it_leaves_when_nobody_is_there_any_more():
    """The other end of its socket closes, for whatever reason."""
    one = Makers(1)
    one(SOUND)
    (idle,) = one._idle
    process = psutil.Process(idle._process.pid)
    idle._socket.close()
    assert process.wait(10) == 0
    one.close()
    assert one._idle == []


def test_closing_ends_them():
    """All that wait."""
    one = Makers(1)
    one(SOUND)
    process = psutil.Process(one._idle[0]._process.pid)
    one.close()
    assert not process.is_running()


def test_one_that_does_not_start_is_our_fault_not_the_tile_s(monkeypatch):
    """No interpreter, or a wall that is required and does not hold."""
    monkeypatch.setattr(makers.sys, "executable", "/bin/false")
    with pytest.raises(ConfinementFailed):
        Makers(1)(SOUND)


def test_a_wall_that_is_missing_keeps_a_strict_one_from_working(monkeypatch):
    """It leaves before it says that it is ready."""

    def refuse(*_, strict):
        if strict:
            raise ConfinementFailed

    monkeypatch.setattr(maker.layers, "apply", refuse)
    read, write = os.pipe()
    assert maker.main([str(write), "strict"]) == 1
    os.close(write)
    assert io.FileIO(read).read() == b""


def test_every_wall_that_holds_a_child_holds_a_maker():
    """Its only file is no folder: that must not cost it a root of its own, without which some machines have no wall."""
    said = "from coverslip.confined import maker; print(*maker.confine(strict=False))"
    held = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert held.stdout.split() == [wall.name for wall in examine() if wall.holds]
