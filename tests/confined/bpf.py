"""Runs a classic BPF program as seccomp(2) would: what it answers to a call, without making the call."""

from __future__ import annotations

import struct

LOAD, RETURN, JUMP, AND = 0x20, 0x06, 0x05, 0x54
ERRNO = 0x00050000
ALLOW = 0x7FFF0000
X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
"""`AUDIT_ARCH_…` of linux/audit.h."""

TESTS = {
    0x15: lambda held, value: held == value,
    0x25: lambda held, value: held > value,
    0x35: lambda held, value: held >= value,
    0x45: lambda held, value: bool(held & value),
}
"""Conditional jumps: equal, greater, greater or equal, bits in common."""


def answer(program: bytes, machine: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the filter says of a call: `ALLOW`, or `ERRNO` plus an error number."""
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, machine, 0, *(each & (1 << 64) - 1 for each in padded))
    steps = list(struct.iter_unpack("=HBBI", program))
    at = held = 0
    while True:
        code, then, otherwise, value = steps[at]
        at += 1
        if code == LOAD:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == AND:
            held &= value
        elif code == JUMP:
            at += value
        elif code in TESTS:
            at += then if TESTS[code](held, value) else otherwise
        elif code == RETURN:
            return value
        else:
            raise NotImplementedError(hex(code))
