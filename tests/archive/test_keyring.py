"""A key that is not the one the catalogue is sealed with is noticed at start, not when an original stays shut."""

import threading

import pytest

from coverslip.archive.archive import Archive
from coverslip.archive.keyring import Keyring
from coverslip.archive.schema import opened
from coverslip.errors import SettingsInvalid
from coverslip.settings import Settings


@pytest.fixture
def keyring(request, tmp_path):
    """Keys of a new catalogue."""
    database = opened(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    yield Keyring(database)
    database.close()


def test_a_key_is_made_once(keyring, tmp_path):
    """And is the same at every start."""
    path = tmp_path / "vault.key"
    key = keyring.key("vault", path)
    assert key == path.read_bytes() == keyring.key("vault", path)


def test_a_key_from_before_marks_is_taken(keyring, tmp_path):
    """As an installation that is brought up to date has it."""
    path = tmp_path / "vault.key"
    path.write_bytes(b"k" * 32)
    assert keyring.key("vault", path) == b"k" * 32
    path.write_bytes(b"l" * 32)
    with pytest.raises(SettingsInvalid):
        keyring.key("vault", path)


def test_a_missing_key_is_not_made_anew(keyring, tmp_path):
    """Its disk may come back, and then there were two; the refusal names the key and no value."""
    path = tmp_path / "originals.key"
    key = keyring.key("originals", path)
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsInvalid, match="missing") as refused:
        keyring.key("originals", path)
    assert not path.exists()
    assert key.hex() not in str(refused.value)
    (tmp_path / "elsewhere").rename(path)
    assert keyring.key("originals", path) == key


def test_keys_of_other_names_are_others(keyring, tmp_path):
    """The vault's key is none for originals."""
    vault = tmp_path / "vault.key"
    keyring.key("vault", vault)
    keyring.key("originals", tmp_path / "originals.key")
    with pytest.raises(SettingsInvalid):
        keyring.key("originals", vault)


@pytest.mark.parametrize("url", ["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres)])
def test_of_two_that_start_at_once_with_keys_of_their_own_one_does(request, tmp_path, url):
    """Whoever was first; the other one is told, now and at every start."""
    database = opened(request.getfixturevalue(url))
    ends, begin = {}, threading.Barrier(8)

    def start(name):
        begin.wait()
        try:
            ends[name] = Keyring(database).key("vault", tmp_path / f"{name}.key")
        except SettingsInvalid as refused:
            ends[name] = refused

    threads = [threading.Thread(target=start, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [name for name, end in ends.items() if isinstance(end, bytes)]
    for name in ends:
        path = tmp_path / f"{name}.key"
        if name == winner:
            assert Keyring(database).key("vault", path) == ends[name]
        else:
            with pytest.raises(SettingsInvalid):
                Keyring(database).key("vault", path)
    database.close()


@pytest.mark.parametrize("name", ["vault", "originals"])
def test_an_archive_does_not_open_with_another_key(tmp_path, name):
    """A second front end with a folder of its own and nothing else in common but the catalogue."""
    shared = {"database_url": f"sqlite:///{tmp_path / 'catalogue.sqlite'}"}
    first = Archive.open(Settings(data_dir=tmp_path / "one", **shared), with_vault=True)
    first.close()
    others = {"vault", "originals"} - {name}
    files = {f"{other}_key_file": first.storage.secret(other) for other in others}
    with pytest.raises(SettingsInvalid, match=name):
        Archive.open(Settings(data_dir=tmp_path / "two", **shared, **files), with_vault=True)
    files[f"{name}_key_file"] = first.storage.secret(name)
    Archive.open(Settings(data_dir=tmp_path / "two", **shared, **files), with_vault=True).close()
