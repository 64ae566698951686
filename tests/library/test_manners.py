"""How the command line speaks: what is wrong with the command is one line and exit code 2, and names what it is."""

import os
import stat
import subprocess
import sys

import pytest

from coverslip.geometry import Size
from samples import aperio, dicom
from tests.library.warm import warm


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A small slide about nobody: looking for people takes the verifier longest."""
    return aperio.write(tmp_path_factory.mktemp("in") / "slide.svs", Size(600, 400), identifiers=False).path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Exit code, standard output and standard error of a command, 80 columns wide."""
    with warm(tmp_path_factory.mktemp("said")) as program:
        yield lambda *arguments, **environment: program.run([*map(os.fspath, arguments)], surroundings(environment))


def surroundings(environment):
    """Ours, and what a test says."""
    return {**os.environ, "COLUMNS": "80", **environment}


def started(*arguments):
    """The same of a program that Python was started for."""
    program = [sys.executable, "-m", "coverslip", *map(os.fspath, arguments)]
    done = subprocess.run(program, capture_output=True, env=surroundings({}), check=False)
    return done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr)


@pytest.fixture(scope="module")
def deidentify(run):
    """The same of `deidentify`, with a key beside the results."""

    def deidentify(*slides, out, more=(), **environment):
        return run("deidentify", *slides, "-o", out, "--key-file", out.with_name("key"), *more, **environment)

    return deidentify


@pytest.mark.parametrize("command", ["plan", "deidentify"])
@pytest.mark.parametrize("policy", ["nosuch", "folder", "broken.toml", "empty.toml"])
def test_a_policy_that_cannot_be_used(run, command, policy, slide, tmp_path, monkeypatch):
    """Whether there is none of that name, or none can be read from it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.toml").write_text("[x")
    (tmp_path / "empty.toml").touch()
    where = ["-o", "out", "--key-file", "key"] if command == "deidentify" else []
    code, said, complaint = run(command, slide, "--policy", policy, *where)
    assert (code, said, complaint.count("\n")) == (2, "", 1)
    assert complaint.startswith(f"coverslip: policy {policy}: ")


@pytest.mark.parametrize("key", ["short", "folder", "short/below"])
def test_a_key_file_that_cannot_be_used(run, key, slide, tmp_path):
    """Too short, a folder, or below what is none."""
    (tmp_path / "short").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    code, said, complaint = run("deidentify", slide, "-o", tmp_path / "out", "--key-file", tmp_path / key)
    assert (code, said, complaint.count("\n")) == (2, "", 1)
    assert complaint.startswith(f"coverslip: key file {tmp_path / key}: ")


def test_a_setting_that_cannot_be(deidentify, slide, tmp_path):
    """All of them are named, none of their values."""
    wrong = {"COVERSLIP_PORT": "secret", "COVERSLIP_CHILD_CPU": "-secret", "COVERSLIP_LOG_LEVEL": "secret"}
    code, _, complaint = deidentify(slide, out=tmp_path / "out", **wrong)
    assert code == 2
    assert "Traceback" not in complaint
    assert [name for name in wrong if name not in complaint] == []
    assert "secret" not in complaint


def test_what_is_not_there_is_not_damaged(deidentify, slide, tmp_path):
    """Missing is missing, damaged is damaged, and the slide after them is done."""
    (tmp_path / "damaged.svs").write_bytes(slide.read_bytes()[:5000])
    code, said, _ = deidentify(tmp_path / "nosuch.svs", tmp_path / "damaged.svs", slide, out=tmp_path / "out")
    first, second, third, *_ = said.splitlines()
    assert code == 1
    assert "no such file" in first
    assert "damaged-slide" in second
    assert third.startswith("clean ")


def test_what_exists_is_named(deidentify, slide, tmp_path):
    """The file that is in the way."""
    deidentify(slide, out=tmp_path / "out")
    (clean,) = (tmp_path / "out").glob("*.svs")
    code, said, _ = deidentify(slide, out=tmp_path / "out")
    assert code == 1
    assert f"output-exists: {clean.name}: " in said


def test_files_of_a_series_given_one_by_one(deidentify, slide, tmp_path):
    """One slide, not as many as there are files; what stands between them is one of its own."""
    dicom.write(tmp_path / "series")
    files = sorted((tmp_path / "series").iterdir())
    assert len(files) > 1
    code, said, _ = deidentify(files[0], slide, *files[1:], out=tmp_path / "out")
    assert code == 0, said
    assert [line.split(":")[0].split() for line in said.splitlines() if line] == [["clean", "1"], ["clean", "2"]]


def test_no_path_of_a_plan_is_cut(run, tmp_path):
    """However narrow the terminal is: it goes on in the next line."""
    code, said, _ = run("plan", aperio.write(tmp_path / "slide.svs", Size(300, 200)).path)
    assert code == 0
    assert "…" not in said
    width = said.index("action")
    paths = "".join(line[:width].strip() for line in said.splitlines())
    assert "ifd[0]/PhotometricInterpretation" in paths


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_says_who_may_read(deidentify, mask, mode, slide, tmp_path):
    """Of every file that is made, not only of some."""
    before = os.umask(mask)
    try:
        deidentify(slide, out=tmp_path / "out", more=["--pyramid"])
    finally:
        os.umask(before)
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert set(modes) == {".svs", ".json", ".html", ".sha256", ".pyramid"}
    assert set(modes.values()) == {mode}


@pytest.mark.parametrize("way", [[], ["--no-confine"]], ids=["confined", "unconfined"])
def test_names_are_bytes(way, tmp_path):
    """A name that is no UTF-8 is one like others, as the slide's and as the folder's; it is looked for, too."""
    given = [tmp_path / os.fsdecode(name) for name in (b"caf\xe9 Doe.svs", b"\xff\xfe.svs", "Zoë.svs".encode())]
    for seed, name in enumerate(given):
        aperio.write(name, Size(300, 200), seed=seed, identifiers=False)
    out = tmp_path / os.fsdecode(b"out\xe9")
    code, said, complaint = started("deidentify", *given, "-o", out, "--key-file", tmp_path / "key", *way)
    assert (code, "Traceback" in complaint) == (0, False), ascii(said + complaint)
    assert len(list(out.iterdir())) == 4 * len(given)
    assert said.count(str(out)) == len(given)


def test_a_doctor_says_what_strict_takes():
    """Each layer, whether it holds, whether it is needed, and what is wanting."""
    code, said, _ = started("doctor")
    assert code == 0
    for name in ("rlimits", "no_network", "own_root", "landlock", "seccomp"):
        assert f"\n{name} " in f"\n{said}"
    assert "when strict" in said
    assert "  strict  would" in said
