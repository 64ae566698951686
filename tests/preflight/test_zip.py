"""Archives within the limits, and every trick that is known against who unpacks them."""

import io
import stat
import struct
import zipfile

import pytest

from coverslip.errors import DamagedSlide, InputError, LimitExceeded, UnsupportedSlide
from coverslip.preflight.zip import MAX_ENTRIES, open_zip

ROOM = 64 << 20


@pytest.fixture
def archive(tmp_path):
    """Writes an archive of (name or ZipInfo, content) pairs; `edit` may change its bytes."""

    def write(*files, edit=lambda data: data, method=zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as made:
            for name, content in files:
                made.writestr(name, content, compress_type=method)
        path = tmp_path / "upload.zip"
        path.write_bytes(edit(buffer.getvalue()))
        return path

    return write


def refused(path, room=ROOM):
    """What opening and reading everything ends in."""
    try:
        with open_zip(path, max_bytes=room) as opened:
            for entry in opened.entries:
                for _ in opened.read(entry):
                    pass
    except InputError as error:
        return type(error)
    return None


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_sound_archive_is_read_as_zipfile_reads_it(archive, method):
    """Names and bytes agree with Python's own reader."""
    import random

    content = {
        "s.mrxs": b"",
        "s/Data0000.dat": random.Random(0).randbytes(3 << 20),
        "s/Slidedat.ini": b"[GENERAL]\n" * 9,
    }
    path = archive(*content.items(), ("s/", b""), method=method)
    with open_zip(path, max_bytes=ROOM) as opened:
        assert {"/".join(entry.parts): b"".join(opened.read(entry)) for entry in opened.entries} == content


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/../../x", "a//x", "./x", "C:x", "C:\\x", "a\\x", "con", "a/NUL.dat", "lpt1.txt", "x.", "x ",
     "a\u202egpj.exe", "a\u200bb", "a\nb", "a\x1bb", "a\x7f", "a" * 256, "/".join("abcdefghijklmnopqrst"), "a\u2028b"],
)  # fmt: skip
def test_names_that_lead_elsewhere(archive, name):
    """Upwards, to the root, to a device, or to another look than the name has."""
    assert refused(archive((name, b"x"))) is DamagedSlide


@pytest.mark.parametrize(
    "names",
    [("a", "a"), ("a", "A"), ("caf\u00e9", "cafe\u0301"), ("a", "a/b"), ("A", "a/b"), ("stra\u00dfe", "STRASSE")],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_with_one_name(archive, names):
    """Also by case, by composition, or a file that is another one's folder."""
    assert refused(archive(*((name, b"x") for name in names))) is DamagedSlide


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices(archive, kind):
    """Only files and folders."""
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    assert refused(archive((info, b"/etc/passwd"))) is DamagedSlide


def test_a_bomb_by_ratio(archive):
    """A megabyte of nothing in a kilobyte."""
    assert refused(archive(("x", bytes(1 << 20)))) is LimitExceeded


def test_a_bomb_by_sum(archive):
    """What all files take together counts before one is unpacked."""
    assert refused(archive(*((f"{i}", bytes(range(256)) * 8) for i in range(100))), room=100_000) is LimitExceeded


def test_a_bomb_that_lies_about_its_size(archive):
    """Sizes in the directory are believed only as an upper bound."""

    def lie(data):
        at = data.index(b"PK\1\2") + 24
        return data[:at] + struct.pack("<I", 1000) + data[at + 4 :]

    assert refused(archive(("x", bytes(range(256)) * 400), edit=lie)) is DamagedSlide


def test_files_that_share_bytes(archive):
    """Many names for one block."""

    def share(data):
        first, second = data.index(b"PK\1\2"), data.rindex(b"PK\1\2")
        return data[: second + 42] + data[first + 42 : first + 46] + data[second + 46 :]

    assert refused(archive(("a", b"x" * 50), ("b", b"x" * 50), edit=share)) is DamagedSlide


def test_a_wrong_checksum(archive):
    """Bytes that are not what was packed."""
    edit = lambda data: data.replace(b"content!", b"CONTENT!", 1)  # noqa: E731
    assert refused(archive(("x", b"content!"), method=zipfile.ZIP_STORED, edit=edit)) is DamagedSlide


def test_encryption_and_other_methods(archive):
    """Neither can be looked into."""

    def encrypt(data):
        at = data.index(b"PK\1\2") + 8
        return data[:at] + b"\1\0" + data[at + 2 :]

    assert refused(archive(("x", b"x"), edit=encrypt)) is UnsupportedSlide
    assert refused(archive(("x", b"x" * 99), method=zipfile.ZIP_LZMA)) is UnsupportedSlide
    assert refused(archive(("x", b"x" * 99), method=zipfile.ZIP_BZIP2)) is UnsupportedSlide


def test_too_many_files(archive):
    """Counted before any is looked at."""
    assert refused(archive(*((f"{i}", b"") for i in range(MAX_ENTRIES + 1)))) is LimitExceeded


def test_random_damage(archive):
    """Every change ends in a typed refusal or in right bytes."""
    import random

    files = [("a/b.dat", bytes(range(200)) * 5), ("c.ini", b"text" * 30)]
    sound = archive(*files).read_bytes()
    for seed in range(600):
        dice = random.Random(seed)
        changed = bytearray(sound)
        for _ in range(dice.randint(1, 4)):
            changed[dice.randrange(len(changed))] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        path = archive(*files, edit=lambda _, data=bytes(changed[: dice.choice((len(sound), len(sound) - 3))]): data)
        assert refused(path) in (None, DamagedSlide, LimitExceeded, UnsupportedSlide)


def test_nothing_of_a_name_is_repeated(archive):
    """A name may be a patient's."""
    with pytest.raises(DamagedSlide) as caught:
        open_zip(archive(("../JANE-DOE", b"x")), max_bytes=ROOM)
    assert "JANE" not in str(caught.value)
