"""The mark that changes when a key is revoked: seen by every process, at once."""

import subprocess
import sys

from coverslip.archive.archive import Archive
from coverslip.archive.revocations import Revocations
from coverslip.settings import Settings


def test_another_process_sees_it(tmp_path):
    """What one process changes the other reads the next time it looks, and opening changes nothing."""
    path = tmp_path / "revocations"
    mine = Revocations(path)
    before = mine.mark()
    assert Revocations(path).mark() == before
    program = "import sys; from pathlib import Path; from coverslip.archive.revocations import Revocations as R;"
    subprocess.run([sys.executable, "-c", f"{program} R(Path(sys.argv[1])).change()", path], check=True)
    assert mine.mark() != before


def test_a_key_that_ends_changes_it(tmp_path):
    """Whichever archive of an installation a key is revoked by, the others' mark is another."""
    settings = Settings(data_dir=tmp_path)
    one, other = (Archive.open(settings, with_vault=False) for _ in range(2))
    before = other.revocations.mark()
    key_id, _ = one.catalog.create_key("passing", {"curator"}, "somebody")
    assert other.revocations.mark() == before
    one.catalog.revoke_key(key_id)
    assert other.revocations.mark() != before
    one.close()
    other.close()
