"""Archives through the whole thing, over HTTP: slides in several files end in review, attacks in a typed refusal.

One installation, every archive sent to it, a person's name in all of them; what it left behind is looked at afterwards.
"""

import base64
import hashlib
import os
import socket
import sqlite3
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from coverslip.archive.archive import Archive
from coverslip.geometry import Size
from coverslip.settings import Settings
from samples import aperio, archives, dicom, mirax, vms
from workers.programs import Program

PERSON = "Kowalczyk Aleksandra"
NUMBER = "482137066915"
"""So long that no digest and no moment holds it by chance."""
ATTACKS = {attack.name: attack for attack in archives.attacks(PERSON)}
ROUTES = {"mirax": "converted", "hamamatsu": "converted", "dicom": "converted", "aperio": "same-container"}
ENDS = {"in_review", "quarantined", "rejected", "failed"}
PATIENCE = 300.0
CHUNK = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}

pytestmark = pytest.mark.slow


@dataclass
class Sent:
    """What was sent and what came of it."""

    root: Path
    client: httpx.Client
    log: Path
    slides: dict[str, str] = field(default_factory=dict)
    """Slide by what was sent."""
    ends: dict[str, dict] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    """Every name below the data folder while the work went on."""
    addresses: list[str] = field(default_factory=list)

    def send(self, name: str, data: bytes) -> None:
        """Upload in one PATCH."""
        words = {"filename": f"{PERSON}.zip", "sha256": hashlib.sha256(data).hexdigest()}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in words.items())
        length = {"Upload-Length": str(len(data)), "Upload-Metadata": metadata}
        where = self.client.post("/uploads", headers=length).raise_for_status().headers["Location"]
        answer = self.client.patch(where, content=data, headers=CHUNK).raise_for_status()
        self.slides[name] = answer.headers["Coverslip-Slide"]
        self.addresses += [where, self.slides[name]]

    def wait(self) -> None:
        """Until every slide has ended, looking at all names there are meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while open_ := [name for name in self.slides if name not in self.ends]:
            assert time.monotonic() < deadline, open_
            self.look()
            for name in open_[:4]:
                slide = self.client.get(f"/api/v1/slides/{self.slides[name]}").raise_for_status().json()
                if slide["state"] in ENDS:
                    self.ends[name] = slide
            time.sleep(0.02)

    def look(self) -> None:
        """Remember the names of this moment."""
        for _, folders, files in os.walk(self.root):
            self.seen.update((*folders, *files))


@pytest.fixture
def sent(tmp_path_factory):
    """Everything was sent and has ended."""
    root, log = tmp_path_factory.mktemp("packed"), tmp_path_factory.mktemp("log") / "log"
    archive = Archive.open(Settings(data_dir=root), with_vault=True)
    key = archive.catalog.create_key("submitter", {"submitter", "curator"}, "submitter")[1]
    archive.close()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    variables = {"COVERSLIP_DATA_DIR": str(root), "COVERSLIP_PORT": str(port), "COVERSLIP_SWEEP_EVERY": "0.5"}
    code = (
        f"import os; os.dup2(os.open({str(log)!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY), 2); os.dup2(2, 1); "
        "from workers.local import run_all; from coverslip.settings import Settings; run_all(Settings())"
    )
    headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {key}"}
    with (
        Program([sys.executable, "-c", code], environment=variables, grace=30),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client,
    ):
        _until_ready(client)
        done = Sent(root, client, log)
        for name, data in _honest(tmp_path_factory.mktemp("in")):
            done.send(name, data)
        done.wait()
        for attack in ATTACKS.values():
            done.send(attack.name, attack.make())
        done.wait()
        done.look()
        yield done


def _until_ready(client):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError


def _honest(folder):
    within = f"{PERSON}/S26-{NUMBER}/"
    for name, write in {
        "mirax": lambda at: mirax.write(at / f"{PERSON}.mrxs", columns=2, rows=2, levels=2).sidecar.unlink(),
        "hamamatsu": lambda at: vms.write(at / f"{PERSON}.vms", reference=PERSON),
        "dicom": lambda at: dicom.write(at, patient=PERSON),
        "aperio": lambda at: aperio.write(
            at / f"{PERSON}.svs", Size(600, 400), identifiers=False, traps=()
        ).sidecar.unlink(),
    }.items():
        (folder / name).mkdir()
        write(folder / name)
        yield name, archives.pack(folder / name, within=within, comment=f"for {PERSON}")


def test_archives_from_upload_to_end(sent):
    """Slides end in review and have tiles; attacks are refused with their codes; no scratch stays; nobody is named."""
    _are_in_review(sent)
    refused = {name: (sent.ends[name]["state"], (sent.ends[name]["problem"] or {}).get("code")) for name in ATTACKS}
    assert refused == {name: ("rejected", attack.code) for name, attack in ATTACKS.items()}
    assert [str(path.relative_to(sent.root)) for path in (sent.root / "tmp").rglob("*")] == []
    _name_nobody(sent)


def _are_in_review(sent):
    """The usual way, the usual route, and tiles to look at."""
    ends = {name: sent.ends[name] for name in ROUTES}
    found = {name: (slide["state"], slide["format"], slide["route"]) for name, slide in ends.items()}
    assert found == {name: ("in_review", name, route) for name, route in ROUTES.items()}
    for slide in ends.values():
        assert sent.client.get(f"/slides/{slide['sid']}.dzi").status_code == 200
        assert sent.client.get(f"/slides/{slide['sid']}_files/0/0_0.jpg").status_code == 200


def _name_nobody(sent):
    """In no file's name at any time, no log line, no address, no table but the sealed one, no answer, no clean file."""
    assert len(sent.seen) > 50
    assert b"finished" in sent.log.read_bytes()
    places = {
        "names": "\n".join(sent.seen).encode(),
        "log": sent.log.read_bytes(),
        "addresses": "\n".join(sent.addresses).encode(),
        "tables": _tables(sent.root),
    }
    for sid in sent.slides.values():
        for path in (f"/api/v1/slides/{sid}", f"/slides/{sid}", f"/api/v1/slides/{sid}/events", "/slides"):
            places[path] = sent.client.get(path).content
    clean = [path for path in (sent.root / "review").rglob("*") if path.is_file()]
    assert len(clean) >= 4 * len(ROUTES)
    places |= {path.name: path.read_bytes() for path in clean}
    assert {place: words for place, data in places.items() if (words := _named(data))} == {}


def _named(data: bytes) -> list[str]:
    words = (PERSON, *PERSON.split(), NUMBER)
    forms = {word: (word.encode(), word.encode("utf-16-le"), base64.b64encode(word.encode())) for word in words}
    return [word for word, spelled in forms.items() if any(form.lower() in data.lower() for form in spelled)]


def _tables(root: Path) -> bytes:
    with sqlite3.connect(root / "catalogue.sqlite") as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return "".join(repr(row) for name in names for row in connection.execute(f"SELECT * FROM {name}")).encode()
