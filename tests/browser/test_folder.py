"""Slides in several files: a folder that is chosen or dropped is one line, one upload, one slide."""

import base64
import io
import json
import time
import zipfile

import numpy as np
import pytest

from coverslip.geometry import Size
from coverslip.preflight.zip import open_zip
from samples import aperio, dicom, mirax
from tests.browser.looking import ENDS, PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.slow(4)]

PERSON = "DOE Jane 1961"


@pytest.fixture
def folder(tmp_path):
    """A MIRAX slide and what belongs to it, named after a patient, in a folder of nothing else."""
    within = tmp_path / PERSON
    within.mkdir()
    mirax.write(within / f"{PERSON}.mrxs", columns=2, rows=2, levels=2).sidecar.unlink()
    (within / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return within


def ended(page):
    """What became of the one line in the tray."""
    page.wait_for_selector(ENDS, timeout=PATIENCE)
    assert page.locator("#tray .item").count() == 1
    return page.inner_text("#tray .say .state"), page.inner_text("#tray .say")


def test_a_chosen_folder_is_one_slide(visit, folder):
    """Reviewed like any other; its name is remembered nowhere. What cannot be a slide is said before it is sent."""
    page = visit.page
    page.goto("/upload")
    page.set_input_files("#folder", folder)
    assert ended(page)[0] == "in review"
    assert "DOE" not in page.evaluate("JSON.stringify(localStorage)")
    assert page.inner_text("#tray .name") == PERSON
    page.set_input_files("#files", folder / f"{PERSON}.mrxs")
    page.wait_for_selector("#tray .bad")
    assert "choose or drop the folder" in page.inner_text("#tray .bad .say")
    page.click("#tray .say a")
    page.wait_for_selector("#viewer")
    assert "DOE" not in page.content()


def test_a_dropped_folder_takes_its_file_along(visit, folder):
    """The .mrxs file lies beside its folder, so both are dropped together and make one slide."""
    page = visit.page
    page.goto("/upload")
    drop(page, [folder / PERSON, folder / f"{PERSON}.mrxs"])
    assert ended(page)[0] == "in review"


def test_a_dropped_series(visit, tmp_path):
    """A folder of DICOM files, however deep."""
    dicom.write(tmp_path / PERSON / "a" / "b", patient=PERSON)
    page = visit.page
    page.goto("/upload")
    drop(page, [tmp_path / PERSON])
    assert ended(page)[0] == "in review"


def test_a_folder_of_slides_is_a_line_for_each(visit, folder):
    """What somebody collected for submission: one slide in one file, one in several, a series, and a letter."""
    aperio.write(folder / "DOE John.svs", Size(150, 100), tile=64, downsamples=(1, 2)).sidecar.unlink()
    dicom.write(folder / "series")
    (folder / "letter.txt").write_text("Dear colleague")
    page = visit.page
    page.goto("/upload")
    page.set_input_files("#folder", folder)
    until(page, "document.querySelectorAll('#tray .state-in_review').length === 3")
    assert sorted(page.locator("#tray .name").all_inner_texts()) == [PERSON, "DOE John.svs", "series"]


def until(page, expression, seconds=240):
    """Ask again until it is true."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, page.inner_text("#tray")
        page.wait_for_timeout(50)


def drop(page, paths):
    """Drop files and folders as a file manager does."""
    box = page.locator("#drop").bounding_box()
    at = {"x": box["x"] + 20, "y": box["y"] + 20}
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


def test_a_folder_resumes_after_a_reload(visit, tmp_path):
    """The same folder gives the same bytes: only the rest is sent, and what arrived is what was meant."""
    rng = np.random.default_rng(2)
    within = tmp_path / PERSON
    (within / "b").mkdir(parents=True)
    for name, size in (("b/two.bin", 20 << 20), ("one.bin", 16 << 20), ("zero.txt", 0)):
        (within / name).write_bytes(rng.bytes(size))
    page = visit.page
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/upload")
    session = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 8 << 20}
    session.send("Network.emulateNetworkConditions", slow)
    page.set_input_files("#folder", within)
    sending = "document.querySelector('#tray .say')?.textContent.startsWith('sending')"
    until(page, f"{sending} && document.querySelector('#tray progress').value > 0.5")
    page.goto("/slides")
    session.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    page.goto("/upload")
    page.wait_for_selector("#unfinished li")
    offsets = []
    page.on("request", lambda request: offsets.append(request.headers.get("upload-offset")))
    page.set_input_files("#folder", within)
    state, words = ended(page)
    assert (state, "not-one-slide" in words) == ("rejected", True)
    sent = [int(offset) for offset in offsets if offset is not None]
    assert sent
    assert min(sent) >= 16 << 20


LAYOUT = """async (text) => {
  const { layout } = await import("/static/zip.js");
  const { heads, tail, length } = layout(JSON.parse(text));
  const packed = async (parts) => {
    const reader = new FileReader();
    reader.readAsDataURL(new Blob(parts));
    await new Promise((resolve) => { reader.onload = resolve; });
    return reader.result.split(",")[1] ?? "";
  };
  return { heads: await packed(heads), lengths: heads.map((head) => head.length), tail: await packed(tail), length };
}"""


@pytest.mark.parametrize("sizes", [[], [0, 5, 300], [5, (1 << 32) + 7, 3]], ids=["empty", "few", "large"])
def test_the_archive_is_one_that_others_read(visit, tmp_path, sizes):
    """Python's reader and ours find every file where the page put it, beyond four gigabytes too."""
    page = visit.page
    page.goto("/upload")
    files = [{"path": f"Ä/{number:05}.dat", "size": size, "crc": number} for number, size in enumerate(sizes)]
    made = page.evaluate(LAYOUT, json.dumps(files))
    path = tmp_path / "made.zip"
    heads = io.BytesIO(base64.b64decode(made["heads"]))
    with path.open("wb") as out:
        for length, size in zip(made["lengths"], sizes, strict=True):
            out.write(heads.read(length))
            out.seek(size, 1)
        out.write(base64.b64decode(made["tail"]))
        assert out.tell() == made["length"]
    with zipfile.ZipFile(path) as archive:
        found = [(info.filename, info.file_size, info.CRC, info.date_time[:3]) for info in archive.infolist()]
        assert found == [(file["path"], file["size"], file["crc"], (1980, 1, 1)) for file in files]
        for info in archive.infolist()[-3:]:
            archive.open(info).close()
    with open_zip(path, max_bytes=1 << 40) as ours:
        assert [entry.size for entry in ours.entries] == sizes
