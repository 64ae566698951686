"""The Celery application; each setting has its reason in operations.md. Messages are hints: `{"job": "<uuid>"}`."""

from __future__ import annotations

import sys
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from coverslip.archive.kinds import JobKind
from coverslip.errors import SettingsInvalid
from coverslip.settings import Settings
from workers import kombu_fix, logs

PREFIX = "coverslip:"
PATIENCE = 30
"""Seconds for one answer; more than the one-second blocking read."""
EXIT_REFUSED = 78
"""sysexits' EX_CONFIG: the configuration is not one we run with."""
QUEUES = {kind: f"coverslip.{kind}" for kind in JobKind}


def create(settings: Settings, patience: int = PATIENCE) -> Celery:
    """An application that talks to the broker of these settings; `patience`: seconds for one answer of a broker's."""
    kombu_fix.apply()
    app = Celery("coverslip", broker=settings.broker, include=["workers.tasks"], set_as_current=False)
    app.conf.update(
        **_MESSAGES,
        **_BROKER,
        broker_transport_options={**_TRANSPORT, "socket_timeout": patience},
        **_WORKER,
        task_queues=[Queue(name) for name in QUEUES.values()],  # type: ignore[no-untyped-call]
        task_routes={kind.task: {"queue": name} for kind, name in QUEUES.items()},
        worker_soft_shutdown_timeout=settings.shutdown_grace.total_seconds(),
        worker_send_task_events=settings.task_events,
        task_send_sent_event=settings.task_events,
        worker_concurrency=settings.concurrency,
    )
    setup_logging.connect(lambda **_: logs.configure(settings.log_level), weak=False)
    return app


def broker_errors(app: Celery) -> tuple[type[Exception], ...]:
    """Everything a broker that is away, comes back or may not be written to makes Celery raise.

    Celery turns what redis-py raises into its own error on some of its paths only; redis-py's are no `OSError`.
    """
    connection = app.connection_for_write()
    return (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors)


_MESSAGES: dict[str, Any] = {
    "task_serializer": "json",
    "accept_content": ["json"],  # pickle must be impossible to receive, not only to send
    "result_accept_content": ["json"],
    "task_ignore_result": True,
    "result_backend": None,  # no traceback, hence no value from a file, in the broker
    "task_acks_late": False,  # early: no visibility timeout that runs a long job twice
    "task_reject_on_worker_lost": False,  # retry is decided by lease and attempts, not by a message loop
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
    "task_publish_retry": False,  # nobody waits for a dead broker; the sweeper sends again
    "task_default_queue": QUEUES[JobKind.DEIDENTIFY],
    "task_create_missing_queues": False,
    "enable_utc": True,
}

_TRANSPORT: dict[str, Any] = {
    "visibility_timeout": 3600,  # covers only the moment between taking a message and the early acknowledgement
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": False,  # True makes redis-py connect again behind kombu's back, also after a reset
    "global_keyprefix": PREFIX,
    "client_name": "coverslip-worker",
}

_BROKER: dict[str, Any] = {
    "broker_connection_retry_on_startup": True,
    "broker_connection_retry": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,  # READONLY after a failover (celery#7946)
    "broker_connection_timeout": 5,
}

_WORKER: dict[str, Any] = {
    "worker_consumer": "workers.consumer:Consumer",  # tries to connect more often
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,  # take a message only when a process is free
    "worker_cancel_long_running_tasks_on_connection_loss": False,  # a running job holds a lease, not a message
    "worker_enable_soft_shutdown_on_idle": False,  # that would wait out the grace with nothing to do
    "task_time_limit": None,  # time is limited on the confined child, by its supervisor
    "task_soft_time_limit": None,
    "worker_proc_alive_timeout": 60,  # a busy machine needs more than the default four seconds to import
    "worker_max_tasks_per_child": None,  # memory is bounded per confined child instead
    "worker_enable_remote_control": True,  # for the watchdog's ping and for flower
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
}


def _asked_for() -> Celery:
    """One for the settings in the environment; whoever starts a program with a wrong one reads a line, no traceback."""
    try:
        return create(Settings())
    except SettingsInvalid as error:
        sys.stderr.write(f"Coverslip does not start: {error}\n")
        raise SystemExit(EXIT_REFUSED) from None


def __getattr__(name: str) -> Celery:
    """`app`, which `celery -A workers.app` looks for: made when somebody does, from the environment as it is then."""
    if name != "app":
        raise AttributeError(name)
    return globals().setdefault(name, _asked_for())
