"""The command line parses in confined children: whatever a file does, the batch goes on and nothing is left behind."""

import errno
import json
import os
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from coverslip import cli
from coverslip.batch import Batch, run_batch
from coverslip.confined.bounds import Bounds
from coverslip.confined.desk import Desk, bounds
from coverslip.errors import SettingsInvalid
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned, Rejected
from coverslip.policy import files_of
from coverslip.progress import silent
from coverslip.settings import Settings
from coverslip.unconfined import here
from samples import aperio, broken, traps

KEY = b"k" * 32
ENDS = ("certificate.html", "certificate.json", "scans.sha256", "svs")


class Nobody:
    """Watches nothing."""

    def progress(self, label):
        return silent

    def finished(self, result):
        pass


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Two slides."""
    folder = tmp_path_factory.mktemp("sound")
    plain = {"identifiers": False, "traps": ()}
    return [aperio.write(folder / f"ZQ{seed}.svs", Size(300, 200), seed=seed, **plain).path for seed in (1, 2)]


@pytest.fixture(scope="module")
def desk():
    """Where the real work is done."""
    with Desk() as found:
        yield found


@pytest.fixture(scope="module")
def reckless():
    """Where limits are not looked at."""
    with Desk("tests.confined.mischief") as found:
        yield found


@pytest.fixture
def trap(tmp_path):
    """A slide that ends OpenSlide's process."""
    (tmp_path / "trap").mkdir()
    made = next(trap for trap in traps.traps() if trap.name == "mirax-levels")
    return next(made.write(tmp_path / "trap").glob("*.mrxs"))


def batch(out, *paths, policy="strict", pyramid=False, complete=False):
    """A batch with the tests' key."""
    return Batch(tuple(paths), out, policy, KEY, pyramid, complete)


def left(folder):
    """Endings of what lies in a folder, hidden folders included."""
    return sorted(file.name.partition(".")[2] for file in folder.iterdir())


def test_a_slide_that_cannot_be_hashed_meanwhile_stops_nobody(sound, tmp_path, monkeypatch):
    """A disk that fails while the other process still loads costs that slide alone; the next one is cleaned."""
    tried = []

    def failing(*_):
        tried.append(1)
        raise OSError(errno.EIO, "no such luck")

    monkeypatch.setattr("coverslip.confined.desk.hashlib.file_digest", failing)
    with Desk() as fresh:
        monkeypatch.setattr(type(fresh._zygote), "is_ready", lambda self: bool(tried))
        first, second = run_batch(Batch(tuple(sound), tmp_path / "out", "strict", KEY), Nobody(), fresh)
    assert isinstance(first.outcome, Rejected)
    assert first.outcome.code == "storage-failed"
    assert isinstance(second.outcome, Cleaned)


def test_what_the_environment_says_of_children_is_heard(monkeypatch):
    """Each setting of theirs, in whatever case; one of ours that is wrong is refused whichever it is."""
    for name in [name for name in os.environ if name.upper().startswith("COVERSLIP_")]:
        monkeypatch.delenv(name)
    usual = bounds()
    assert all(getattr(usual, name) == getattr(Settings(), name) for name in usual.__slots__)
    said = {"strict_confinement": "1", "child_memory": "5", "child_cpu": "6", "child_wall": "7",
            "child_output_ratio": "8"}  # fmt: skip
    for name, value in said.items():
        monkeypatch.setenv(f"coverslip_{name}", value)
    assert bounds() == Bounds(True, 5, timedelta(seconds=6), timedelta(seconds=7), 8.0)
    monkeypatch.setenv("COVERSLIP_PORT", "none")
    with pytest.raises(SettingsInvalid, match="COVERSLIP_PORT"):
        bounds()


@pytest.mark.parametrize("complete", [False, True])
def test_it_makes_what_is_made_without_it(complete, desk, sound, tmp_path):
    """The same files, the same facts; the pyramid another process builds there is what this one builds here."""
    (confined,) = run_batch(batch(tmp_path / "confined", sound[0], pyramid=True, complete=complete), Nobody(), desk)
    (plain,) = run_batch(batch(tmp_path / "plain", sound[0], pyramid=True, complete=complete), Nobody(), here)
    assert isinstance(confined.outcome, Cleaned)
    assert confined.outcome.facts == plain.outcome.facts
    assert left(tmp_path / "confined") == left(tmp_path / "plain") == sorted((*ENDS, "pyramid"))
    assert confined.outcome.clean.read_bytes() == plain.outcome.clean.read_bytes()
    assert confined.outcome.pyramid.read_bytes() == plain.outcome.pyramid.read_bytes()


def test_a_file_that_ends_the_process_does_not_end_the_batch(reckless, sound, trap, tmp_path):
    """OpenSlide really dies in the middle; the slides before and after it are clean, and its scratch is gone."""
    results = run_batch(batch(tmp_path / "out", sound[0], trap, sound[1]), Nobody(), reckless)
    assert [type(result.outcome).__name__ for result in results] == ["Cleaned", "Rejected", "Cleaned"]
    assert results[1].outcome.code == "child-crashed"
    assert left(tmp_path / "out") == sorted(ENDS * 2)


def test_what_is_no_plain_file_gets_no_final_name(reckless, sound, tmp_path):
    """Something else under a slide's name is refused, with all that came along."""
    (result,) = run_batch(batch(tmp_path / "out", sound[0], pyramid=True), Nobody(), reckless)
    assert isinstance(result.outcome, Rejected)
    assert result.outcome.code == "child-crashed"
    assert left(tmp_path / "out") == []


def test_nothing_is_overwritten(desk, sound, tmp_path):
    """A second run says so and leaves the first one's files alone."""
    job = batch(tmp_path / "out", sound[0])
    run_batch(job, Nobody(), desk)
    before = {file: file.stat().st_mtime_ns for file in job.out.iterdir()}
    (second,) = run_batch(job, Nobody(), desk)
    assert second.outcome.code == "output-exists"
    assert {file: file.stat().st_mtime_ns for file in job.out.iterdir()} == before


def test_reasons_are_told_in_words(desk, tmp_path):
    """To the person who has the file: code, place and our own sentence."""
    path = tmp_path / "ZQ.svs"
    path.write_bytes(broken.sound("svs")[:300])
    (result,) = run_batch(batch(tmp_path / "out", path), Nobody(), desk)
    (plain,) = run_batch(batch(tmp_path / "out", path), Nobody(), here)
    assert result.outcome == plain.outcome
    assert result.outcome.detail


def test_a_policy_beside_the_slides_is_read(desk, sound, tmp_path, monkeypatch):
    """With what it extends, by paths as the command line was given them, although nothing else there can be read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.toml").write_text('name="base"\nversion=1\ndescription="x"\nextends="strict"\n')
    (tmp_path / "mine.toml").write_text('name="mine"\nversion=1\ndescription="x"\nextends="base.toml"\n')
    assert [path.name for path in files_of("mine.toml")] == ["mine.toml", "base.toml"]
    (result,) = run_batch(batch(tmp_path / "out", sound[0], policy="mine.toml"), Nobody(), desk)
    assert isinstance(result.outcome, Cleaned)


def test_the_command_does_so(sound, trap, tmp_path):
    """Several slides, one of them a trap; a policy that cannot be read is an error of the command."""
    arguments = ["deidentify", str(trap), str(sound[0]), "-o", str(tmp_path / "out"), "--key-file", str(tmp_path / "k")]
    done = CliRunner().invoke(cli.app, [*arguments, "--json"], catch_exceptions=False)
    assert [(each["state"], each.get("code")) for each in json.loads(done.output)] == [
        ("rejected", "limit-exceeded"), ("cleaned", None),
    ]  # fmt: skip
    assert done.exit_code == 1
    assert left(tmp_path / "out") == sorted(ENDS)
    done = CliRunner().invoke(cli.app, [*arguments, "--policy", "none"], catch_exceptions=False)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "none" in done.stderr
