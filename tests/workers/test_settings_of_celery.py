"""Celery runs work and nothing else: what loses or doubles messages is neither set nor used."""

import re
from pathlib import Path

import pytest

from coverslip.archive.kinds import JobKind
from coverslip.settings import Settings
from workers.app import create

WORKERS = Path(__file__).resolve().parents[2] / "workers"
LOSSY = re.compile(
    r"\b(apply_async|delay|countdown|eta|chord|chain|group|retry_backoff|autoretry_for|self\.retry)\b\(?=?"
)


@pytest.fixture
def conf(tmp_path):
    return create(Settings(data_dir=tmp_path, broker_url="redis://localhost/0")).conf


def test_nothing_executable_can_be_received(conf):
    """JSON only, and no results, hence no traceback in the broker."""
    assert (conf.accept_content, conf.result_accept_content) == (["json"], ["json"])
    assert conf.task_ignore_result
    assert conf.result_backend is None


def test_acknowledgement_is_early_and_retry_is_ours(conf):
    """Attempts and leases live in the database."""
    assert not conf.task_acks_late
    assert not conf.task_reject_on_worker_lost
    assert conf.worker_disable_prefetch
    assert conf.worker_prefetch_multiplier == 1


def test_every_kind_of_work_has_a_queue_of_its_own(conf):
    """So that each scales by itself, and nothing else makes a queue."""
    routed = {conf.task_routes[kind.task]["queue"] for kind in JobKind}
    assert routed == {queue.name for queue in conf.task_queues}
    assert not conf.task_create_missing_queues


@pytest.mark.parametrize("path", sorted(WORKERS.glob("*.py")), ids=lambda path: path.stem)
def test_no_lossy_feature_is_used(path):
    """No ETA, retry, chain, group or chord anywhere (celery#5935, #4207, #9674, #3802)."""
    code = re.sub(r'""".*?"""|#[^\n]*', "", path.read_text(), flags=re.DOTALL)
    assert LOSSY.findall(code) == []
