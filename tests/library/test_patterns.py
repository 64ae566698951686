"""No pattern takes the square of what it is given: a tile of 200 000 fill bytes once took minutes to be refused."""

import importlib
import pkgutil
import re
import time

import pytest

import coverslip

LENGTH = 8000
SQUARE = 0.1
"""Seconds of CPU; a pattern that goes once over `LENGTH` characters takes a hundredth, one of the bad ones thrice."""
RUNS = (
    "\xff", "\xff\0", "\xff\xd0", "a", "A", "0", " ", "\n", "<", "<! ", "&#", "=", "a=", "a:", "a.", "-", ".", ":",
    "|", "a|", ",", "0,", ";", "%", "/", "a ", "0 ", "1.", "\0", "a\0", "\0a", "ab12", "-a1", "Aperio\n", "label",
    "\x1c\x01", "<a:", "<OME ", '"', "[0", "desc", "8BIM",
)  # fmt: skip
ANCHORED = {
    ("coverslip.formats.ini", "_PAIR"): "asked of one line, from its beginning",
    ("coverslip.formats.openslide_elements", "_NUMBER"): "asked of a whole value",
    ("coverslip.tiff.shapes", "_OTHER_PICTURE"): "asked from the beginning of a description",
    ("coverslip.verify.pages", "OTHER_PICTURE"): "asked from the beginning of a description",
    ("coverslip.versions", "_DIST_INFO"): "asked of names on this machine",
}
"""Patterns that nobody searches with, so that they are tried in one place; and why."""


def patterns():
    """Every pattern a module of ours has made, by module and name."""
    found = {}
    for module in pkgutil.walk_packages(coverslip.__path__, "coverslip."):
        if "migrations" in module.name or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            several = value if isinstance(value, tuple | list) else (value,)
            for number, each in enumerate(several):
                if isinstance(each, re.Pattern):
                    found[module.name, f"{name}[{number}]" if several is value else name] = each
    return found


PATTERNS = patterns()


def seconds(pattern, run):
    """Of CPU, to look through one character, or two, again and again, with nothing behind and with something."""
    begin = time.thread_time()
    for tail in ("", "\x01"):
        text = run * (LENGTH // len(run)) + tail
        given = text.encode("latin-1") if isinstance(pattern.pattern, bytes) else text
        (pattern.match if ANCHORED.get(name_of(pattern)) else pattern.search)(given)
        pattern.fullmatch(given)
    return time.thread_time() - begin


def name_of(pattern):
    """Where it stands."""
    return next(name for name, each in PATTERNS.items() if each is pattern)


@pytest.mark.parametrize("run", RUNS, ids=ascii)
def test_none_walks_a_long_run_from_each_of_its_characters(run):
    """Which of them do."""
    assert [name for name, pattern in PATTERNS.items() if seconds(pattern, run) > SQUARE] == []


def test_one_that_does_is_seen():
    """Or the others would prove nothing."""
    PATTERNS["tests", "bad"] = re.compile(rb"\xff+[\xd0-\xd7]")
    try:
        assert seconds(PATTERNS["tests", "bad"], "\xff") > SQUARE
    finally:
        del PATTERNS["tests", "bad"]


def test_what_is_said_to_be_anchored_is_there():
    """One that is gone or called otherwise needs no excuse any more."""
    assert set(ANCHORED) <= set(PATTERNS)
