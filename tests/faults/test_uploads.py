"""Uploads through every misfortune, in any order: what was acknowledged stays, and what is finished is whole."""

import functools
import os
import random
import secrets
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from coverslip.archive.archive import Archive
from coverslip.settings import Settings
from service.errors import UploadExpired
from service.receiving import unless_ended
from tests.faults.front import Front, cut
from tests.s3_servers import below, settings_of

SEQUENCES = int(os.environ.get("COVERSLIP_UPLOAD_SEQUENCES", "200"))
IN_BUCKET = max(15, SEQUENCES // 10)
SHORT = 400
"""Up to here the sequences are the same in each run."""
RESTART = 30.0
"""Seconds until an upload can be resumed once the server is back; a quiet machine takes under 5 (target 1)."""
KILLS = 0.4
"""Share of the kills drawn that are made: a restart takes as long as a sequence without one."""
SIZES = (1, 70_000, 1 << 20, (3 << 20) + 17)
TRIES = 50
"""More than any client needs to bring a file to its end once nobody disturbs it."""
POOL = random.Random(5).randbytes(4 << 20)
SHARES = st.floats(0, 1)
REFUSED = {404, 409, 410, 413}


def while_open(act):
    """An act on an upload that is not over. No precondition: when it is over depends on timing, and what hypothesis
    draws must not."""

    @functools.wraps(act)
    def acting(self, **drawn):
        if not self.over:
            act(self, **drawn)

    return acting


class Uploading(RuleBasedStateMachine):
    """One client, one file, one server that is not always there."""

    front: Front
    finished = 0
    kills = 0
    slowest = 0.0

    @initialize(size=st.sampled_from(SIZES), start=st.integers(0, 1 << 18))
    def announce(self, size, start):
        self.data = POOL[start : start + size]
        self.where = self.front.begin(self.data)
        self.acknowledged = 0
        self.held: list[socket.socket] = []
        self.over = False

    def see(self, offset: int) -> int:
        """An offset the server says: never less than one it said before."""
        assert self.acknowledged <= offset <= len(self.data)
        self.acknowledged = offset
        return offset

    def ask(self) -> int:
        """HEAD."""
        answer = self.front.client.head(self.where)
        assert answer.status_code == 200
        offset = self.see(int(answer.headers["Upload-Offset"]))
        # A request we broke off may have brought the last byte: then the file is complete and nobody told us.
        self.over = self.over or (offset == len(self.data) and self.record.sid is not None)
        return offset

    @property
    def record(self):
        """What the catalogue says of the upload."""
        return self.front.archive.catalog.upload(self.where.rsplit("/", 1)[1])

    def took(self, answer) -> None:
        """What a PATCH said."""
        if answer.status_code == 204:
            self.see(int(answer.headers["Upload-Offset"]))
            self.over = self.over or "Coverslip-Slide" in answer.headers
        else:
            assert answer.status_code in REFUSED, answer.text

    @rule(share=SHARES)
    @while_open
    def send_some(self, share):
        """As it should be."""
        at = self.ask()
        self.took(self.front.patch(self.where, self.data[at : at + int(share * (len(self.data) - at))], at))

    @rule(share=SHARES, reset=st.booleans())
    @while_open
    def send_and_break_off(self, share, reset):
        """The connection ends in mid-body."""
        at = self.ask()
        left = self.data[at:]
        cut(self.front.half(self.where, len(left), at, left[: int(share * len(left))]), reset=reset)

    @rule(share=SHARES)
    @while_open
    def send_and_stall(self, share):
        """The connection stays open and nothing comes; what follows overtakes it."""
        if len(self.held) == 3:
            self.held.pop(0).close()
        at = self.ask()
        left = self.data[at:]
        self.held.append(self.front.half(self.where, len(left), at, left[: int(share * (len(left) - 1))]))

    @rule(shares=st.tuples(SHARES, SHARES, SHARES))
    @while_open
    def send_twice_at_once(self, shares):
        """Two or three PATCHes from one offset: at most one of them may move it at a time."""
        at = self.ask()
        pieces = [self.data[at : at + int(share * (len(self.data) - at))] for share in shares]
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda piece: self.front.patch(self.where, piece, at), pieces))
        assert {answer.status_code for answer in answers} <= REFUSED | {204}
        self.over = any("Coverslip-Slide" in answer.headers for answer in answers)
        self.ask()

    @rule(off=st.integers(1, 1 << 20), after=st.booleans())
    @while_open
    def send_from_elsewhere(self, off, after):
        """A wrong offset is refused, and bytes that are wrong never get in (`teardown` compares).

        Wrong for good: before what is acknowledged or behind the end. A request under way may make any other one right.
        """
        wrong = len(self.data) + off if after else self.ask() - off
        if wrong >= 0:
            assert self.front.patch(self.where, b"\xff" * 10, wrong).status_code in (409, 413)
        self.ask()

    @rule()
    @while_open
    def send_too_much(self):
        """More than was announced is refused before a byte of it; from an offset that moved meanwhile, all of it."""
        at = self.ask()
        assert self.front.patch(self.where, self.data[at:] + b"\xff", at).status_code in REFUSED
        self.ask()

    @rule(share=SHARES)
    @while_open
    def kill_the_server(self, share):
        """kill -9 in mid-body; then it is there again, with every byte it acknowledged."""
        if share > KILLS:
            return
        share /= KILLS
        at = self.ask()
        left = self.data[at:]
        connection = self.front.half(self.where, len(left), at, left[: int(share * (len(left) - 1))])
        self.front.kill()
        connection.close()
        self.front.start()
        type(self).kills += 1
        begin = time.monotonic()
        self.ask()
        type(self).slowest = max(self.slowest, time.monotonic() - begin)
        assert self.slowest < RESTART

    @rule(share=SHARES)
    @while_open
    def pause_the_server(self, share):
        """SIGSTOP and SIGCONT around a PATCH that breaks off meanwhile."""
        at = self.ask()
        os.kill(self.front.pid, signal.SIGSTOP)
        try:
            left = self.data[at:]
            cut(self.front.half(self.where, len(left), at, left[: min(int(share * len(left)), 1 << 16)]), reset=True)
        finally:
            os.kill(self.front.pid, signal.SIGCONT)

    @rule()
    @while_open
    def end_it_while_sending(self):
        """DELETE against PATCH and HEAD: whoever wins, nothing of an ended upload stays."""
        at = self.ask()
        with ThreadPoolExecutor(3) as pool:
            patched = pool.submit(self.front.patch, self.where, self.data[at:], at)
            asked = pool.submit(self.front.client.head, self.where)
            ended = pool.submit(self.front.client.delete, self.where)
        self.over = True
        assert asked.result().status_code in (200, 410)
        assert {patched.result().status_code, ended.result().status_code} <= REFUSED | {204}
        upload = self.record
        assert upload.state in ("terminated", "finished") or ended.result().status_code != 204
        if upload.state == "terminated":
            assert not self.front.archive.storage.incoming(upload.uid).exists()
        self.data = self.data if upload.sid is not None else b""

    @rule()
    def look_again(self):
        """Also afterwards: an upload that is over says so."""
        if not self.over:
            self.ask()
        else:
            assert self.front.client.head(self.where).status_code in (200, 410)

    def teardown(self):
        """Whatever happened, a client that goes on completes the file, and it is the file."""
        if not hasattr(self, "data"):
            return
        try:
            for _ in range(TRIES):
                if self.over or not self.data:
                    break
                at = self.ask()
                self.took(self.front.patch(self.where, self.data[at:], at))
        finally:
            for connection in self.held:
                connection.close()
        if self.data:
            upload = self.record
            assert upload.sid is not None
            archive, sealed = self.front.archive, self.front.archive.catalog.sealed(upload.uid)
            assert b"".join(archive.originals.open(upload.uid, sealed).pieces()) == self.data
            assert len(archive.catalog.jobs(upload.sid)) == 1
            type(self).finished += 1
            assert not archive.storage.incoming(upload.uid).exists()
            archive.originals.store.remove(sealed.name)


@pytest.fixture
def front(request, tmp_path):
    """A front end that may be killed; what it takes lies on its disk, or in a bucket in parts of half a MiB."""
    changes = {}
    if request.param == "bucket":
        changes = settings_of(below(request.getfixturevalue("s3_server")("nanio"), f"uploads/{secrets.token_hex(8)}"))
    found = Front(tmp_path / "data", changes, small_parts=True)
    found.start()
    yield found
    found.close()


@pytest.mark.slow(80)
@pytest.mark.parametrize(("front", "sequences"), [("disk", SEQUENCES), ("bucket", IN_BUCKET)], indirect=["front"])
def test_uploads_survive_anything_in_any_order(front, sequences, record_property):
    """COVERSLIP_UPLOAD_SEQUENCES sequences of up to eight misfortunes each; fewer over a bucket, where each is slow."""
    Uploading.front = front
    Uploading.finished, Uploading.kills, Uploading.slowest = 0, 0, 0.0
    run_state_machine_as_test(
        Uploading,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=8,
            deadline=None,
            derandomize=SEQUENCES <= SHORT,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_property("finished", Uploading.finished)
    record_property("kills", Uploading.kills)
    record_property("slowest", Uploading.slowest)
    assert Uploading.finished > sequences // 4
    assert Uploading.kills > sequences // 50


def test_a_writer_that_comes_after_the_end_makes_no_file(tmp_path):
    """A PATCH admitted just before DELETE, also by another process, leaves no bytes that no row accounts for."""
    archive = Archive.open(Settings(data_dir=tmp_path), with_vault=True)
    announced = archive.catalog.create_upload("owner", 5, datetime.now(UTC) + timedelta(days=1), "x", {})
    path = archive.storage.incoming(announced.uid)
    generation = archive.begin_patch(announced.uid)
    early = archive.writer(announced, generation)
    archive.terminate_upload(announced.uid, "owner")
    early.write(b"late")
    early.close()
    with pytest.raises(UploadExpired), unless_ended():
        archive.writer(announced, generation)
    with pytest.raises(UploadExpired), unless_ended():
        archive.originals.seal(announced.uid, path, str)
    assert not path.exists()
    archive.close()
