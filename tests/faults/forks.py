"""Processes that start in milliseconds: forked from one that imported everything, and shot as any other."""

from __future__ import annotations

import multiprocessing

context = multiprocessing.get_context("forkserver")
# One fork server for all tests of a pytest process: what the first one preloads is what there is.
context.set_forkserver_preload(
    ["tests.faults.warm", "service.command", "service.website", "service.pictures", "service.sources"]
)
