"""What the front end refuses to be started as."""

import os
import subprocess
import sys

import pytest

from coverslip.archive.archive import Archive
from coverslip.settings import Settings
from service.addresses import is_loopback
from service.safety import demo_key, demo_secret_file, every_key


def start(folder, **settings):
    """Start the service with these settings and return how it ended."""
    environment = {**os.environ, "COVERSLIP_DATA_DIR": str(folder), "COVERSLIP_PORT": "0"}
    environment |= {f"COVERSLIP_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "service"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"host": "0.0.0.0"}, "No API key"),
        ({"host": "::"}, "No API key"),
        ({"host": "0.0.0.0", "demo": "1"}, "The demo"),
        ({"secret_key": "short"}, "SECRET_KEY"),
    ],
)
def test_unsafe_starts_end_with_a_reason(tmp_path, settings, reason):
    """Exit 78 with one sentence, and no value of a setting in it."""
    ended = start(tmp_path, **settings)
    assert ended.returncode == 78
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "short\n" not in ended.stderr


def test_a_key_on_the_command_line_is_shown_once(tmp_path):
    """`python -m service key` prints a secret that the database does not hold."""
    environment = {**os.environ, "COVERSLIP_DATA_DIR": str(tmp_path)}
    made = subprocess.run(
        [sys.executable, "-m", "service", "key", "ops"], env=environment, capture_output=True, text=True, check=True
    )
    secret = made.stdout.strip()
    assert secret.startswith("csk_")
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.split("_", 2)[2].encode() not in held


def test_a_missing_key_is_no_reason_to_make_one(tmp_path):
    """The disk with the keys is not mounted: exit 78, and nothing is sealed with a second key meanwhile."""
    elsewhere = {"database_url": f"sqlite:///{tmp_path / 'catalogue.sqlite'}"}
    environment = {**os.environ, "COVERSLIP_DATABASE_URL": elsewhere["database_url"]}
    made = [sys.executable, "-m", "service", "key", "ops"]
    subprocess.run(made, env={**environment, "COVERSLIP_DATA_DIR": str(tmp_path / "disk")}, check=True)
    ended = start(tmp_path / "nothing", **elsewhere)
    assert ended.returncode == 78
    assert "originals.key: " in ended.stderr
    assert not list((tmp_path / "nothing" / "phi").glob("originals*.key"))


def test_a_demo_that_starts_again_goes_on_with_its_key(tmp_path):
    """Who is signed in stays so; a key that was revoked, or is no demo's, is not taken up again."""
    settings = Settings(data_dir=tmp_path, demo=True)
    archive, kept = Archive.open(settings, with_vault=True), demo_secret_file(settings)
    first = demo_key(settings, archive)
    secret = kept.read_text()
    assert demo_key(settings, archive) == first
    assert kept.read_text() == secret
    archive.catalog.revoke_key(first)
    second = demo_key(settings, archive)
    assert second != first
    assert archive.catalog.principal(kept.read_text()).key_id == second
    for other in ("", "nonsense", archive.catalog.create_key("another", {"admin"}, "somebody")[1]):
        kept.write_text(other)
        made = demo_key(settings, archive)
        assert archive.catalog.principal(kept.read_text()).key_id == made
        assert made not in {first, second}
    assert sum(key.label == "demo" and key.revoked is None for key in every_key(archive.catalog)) == 1


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((here, True) for here in ("127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost")),
        *((there, False) for there in ("0.0.0.0", "10.0.0.1", "example", "", "127.0.0.1.evil.example")),
    ],
)
def test_loopback(host, loopback):
    """Only addresses that stay on this machine count as such."""
    assert is_loopback(host) is loopback
