"""The root a child gets: its own files by their own names, links on the way included, and nothing else."""

import json
import os
from pathlib import Path

import pytest

from coverslip.confined import libc, root
from coverslip.confined.messages import Task
from coverslip.progress import silent
from tests.confined import looking
from tests.faults.kernel import kernel_forbids


@pytest.fixture
def store(tmp_path):
    """A slide beside another, and where work is done."""
    for name in ("store", "out", "elsewhere", "with it"):
        (tmp_path / name).mkdir()
    for name in ("store/slide", "store/neighbour", "with it/part", "rules"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def seen(zygote, limits, store):
    """What a child sees that is given a source and more."""

    def look(source, *also):
        task = Task(source, store / "out", "", b"", also=also)
        zygote.run(f"{looking.__name__}:look", task, limits, progress=silent)
        if "own_root" not in zygote.layers:
            kernel_forbids("no mount namespaces")
        return json.loads((store / "out" / "seen").read_text())

    return look


def test_only_what_was_given_is_there(seen, store):
    """The slide, what belongs to it, our own folder, the program, the working folder's bare name."""
    found = seen(store / "store" / "slide", store / "with it", store / "rules")
    assert found["source"] == "store/slide"
    assert found["also"] == [["part"], "rules"]
    assert found["beside"] == [False, False]
    assert not {"home", "proc", "sys"} & set(found["root"])
    assert found["cwd"] == str(Path.cwd())
    assert found["owner"] == os.getuid()
    assert found["program"]


def test_links_on_the_way_are_followed(seen, store):
    """A link to a folder, one to a file in it, one that goes up again: the names stay what they were."""
    (store / "first").symlink_to("store")
    (store / "second").symlink_to(store / "first" / ".." / "first" / "slide")
    for name in ("first/slide", "second"):
        assert seen(store / name)["source"] == "store/slide"


def test_links_are_found_in_order(store):
    """Each with what stands in it, as the kernel would follow them."""
    (store / "first").symlink_to("store")
    (store / "second").symlink_to("first/slide")
    assert list(root.links_to(store / "second")) == [
        (str(store / "second"), "first/slide"),
        (str(store / "first"), "store"),
    ]


def test_what_comes_with_its_folder_is_not_brought_twice(store):
    """But for another use it is: a folder to write in may lie in one to look at, and the last word on a part holds."""
    part, folder = store / "with it" / "part", store / "with it"
    program = root.Layout.of(map(root.Part.program, (folder, part, folder / "no such")))
    assert list(program.parts) == [str(folder)]
    assert list(root.Layout.of([root.Part.readable(folder), root.Part.writable(part)]).parts) == [
        str(folder),
        str(part),
    ]
    both = program.joined(root.Layout.of([root.Part.readable(folder)]))
    assert both.parts[str(folder)].attributes == root.Part.readable(folder).attributes


def test_a_root_that_cannot_be_made_leaves_things_as_they_were(store, monkeypatch):
    """The layer does not hold then, and the child still sees its folder."""
    if os.fork() == 0:  # what is tried here would last for the whole process
        status = 1
        try:
            monkeypatch.setattr(libc, "syscall", refusing(libc.syscall, root.MOVE_MOUNT))
            (store / "out" / "there").touch()
            with pytest.raises(OSError, match="refused"):
                root.enter(root.Layout.of([root.Part.readable(store / "store")]), store / "out")
            assert (store / "out" / "there").exists()
            assert (store / "store" / "neighbour").exists()
            status = 0
        finally:
            os._exit(status)
    assert os.wait()[1] == 0


def refusing(call, number):
    """The kernel, but for one call."""

    def ask(asked, *arguments):
        if asked == number:
            raise OSError(1, "refused")
        return call(asked, *arguments)

    return ask
