"""The image and the compose file name only what exists; no engine is needed to see that."""

import importlib.util
import re
import shlex
from pathlib import Path

from coverslip.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
HOST = re.compile(r"^([^/]*[.:][^/]*|localhost)/")
"""What makes the first part of an image's name a registry's."""


def copied():
    """What the Dockerfile copies from the checkout."""
    for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE):
        words = shlex.split(line)
        if not words[0].startswith("--from"):
            yield from words[:-1]


def images():
    """Every image that is pulled."""
    built = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE)) | {"coverslip"}
    named = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) + re.findall(
        r"^\s+image: (\S+)$", COMPOSE, re.MULTILINE
    )
    return [name for name in named if name not in built]


def test_copied_files_exist_and_reach_the_builder():
    """Each path is there, and `.dockerignore`, which refuses everything else, lets it through."""
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert len(list(copied())) >= 8
    assert [path for path in copied() if not (ROOT / path).exists()] == []
    assert set(copied()) == let_through


def test_modules_that_are_run_exist():
    """`python -m X` finds X."""
    text = DOCKERFILE + COMPOSE
    modules = set(re.findall(r"python -m (\w[\w.]*)", text)) | set(re.findall(r'python"?, "?-m"?, "?(\w[\w.]*)', text))
    assert {"service", "workers", "service.vendor"} <= modules
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
    assert (ROOT / "service" / "__main__.py").exists()
    assert (ROOT / "workers" / "__main__.py").exists()


def test_images_have_plain_names_and_versions():
    """No registry is named, and nothing is `latest`."""
    assert len(images()) >= 4
    assert [name for name in images() if HOST.match(name) or ":" not in name or name.endswith(":latest")] == []
    assert re.findall(r"--index-url|--extra-index-url|--registry", DOCKERFILE) == []


def test_nobody_is_root():
    """The image ends as another user, and the containers drop what they do not need."""
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)[-1] not in ("root", "0")
    assert "cap_drop: [ALL]" in COMPOSE
    assert "no-new-privileges:true" in COMPOSE


def test_locked_and_hashed():
    """What is installed is what the lock says."""
    assert "--require-hashes -r requirements/app.lock" in DOCKERFILE
    assert "npm ci" in DOCKERFILE


def test_variables_are_settings_and_secrets_are_asked_for():
    """Every variable exists, every secret must come from outside and stands in the example, empty."""
    names = re.findall(r"COVERSLIP_[A-Z_]+", COMPOSE + DOCKERFILE + (ROOT / ".env.example").read_text())
    assert {name.removeprefix("COVERSLIP_").lower() for name in names} - set(Settings.model_fields) == set()
    example = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert len(required) == 3
    assert {name: example.get(name) for name in required} == dict.fromkeys(required, "")
    assert re.findall(r"(?i)(?:password|secret)\w*: (?!\$\{)\S", COMPOSE) == []


def test_every_container_says_how_it_is():
    """Whatever listens has a health check, and the two of ours wait for the others'."""
    common, _, rest = COMPOSE.partition("\nservices:\n")
    blocks = dict(
        re.findall(r"^  (\w+):\n((?:(?: {4}.*)?\n)+)", rest.partition("\nvolumes:\n")[0] + "\n", re.MULTILINE)
    )
    assert set(blocks) == {"service", "worker", "broker", "database"}
    assert {name for name, block in blocks.items() if "healthcheck:" in block} == {"service", "broker", "database"}
    assert [name for name in ("service", "worker") if "<<: *coverslip" not in blocks[name]] == []
    assert all(f"{name}: {{condition: service_healthy}}" in common for name in ("broker", "database"))
