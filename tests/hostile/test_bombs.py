"""Small files that would unpack to a lot end in a typed refusal, cheaply, whoever would have unpacked them."""

import pytest

from samples import bombs, traps
from tests.hostile.running import run

REFUSALS = {
    "damaged-slide", "limit-exceeded", "not-one-slide", "unsupported-slide", "unknown-structure", "verification-failed",
}  # fmt: skip


@pytest.mark.parametrize("bomb", [*bombs.bombs(), *traps.traps()], ids=lambda bomb: bomb.name)
def test_a_bomb_is_refused(bomb, zygote, tmp_path):
    """Not by the last wall, which is memory, but by a limit that was looked at before."""
    (tmp_path / "in").mkdir()
    ended = run(zygote, bomb.write(tmp_path / "in"), tmp_path / "out")
    assert ended.code in REFUSALS, ended.where
    assert ended.peak < 400 << 20
    assert ended.cpu < 30
    assert not ended.touched
    assert ended.left in ((), ("slide.findings.json",))
    assert "ZQ" not in ended.text


@pytest.mark.parametrize(
    "name", ["ZQ\u202egvs.svs", "ZQ\n\x1b[2J.svs", "con.svs", "ZQ%s%n{}.svs", "-ZQ.svs", "ZQ\udce9.svs"]
)
def test_a_file_name_says_nothing(zygote, tmp_path, name, capfd):
    """Whatever characters it has, it opens nothing else and is not repeated."""
    from samples import broken

    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / name
    path.write_bytes(broken.sound("svs"))
    good = run(zygote, path, tmp_path / "out")
    path.write_bytes(broken.sound("svs")[:300])
    bad = run(zygote, path, tmp_path / "bad")
    assert (good.code, bad.code) == ("ok", "damaged-slide")
    assert "ZQ" not in good.text + bad.text + "".join(capfd.readouterr())
    assert not any("ZQ" in file for file in good.left)
