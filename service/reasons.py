"""What a slide's code means and what to do about it, for whoever sent it in and whoever looks after it."""

from __future__ import annotations

from typing import Final

from coverslip.errors import by_code

WAITS: Final = "The slide is not to blame. While it waits it is tried again by itself; once it has failed,"
TODO: Final = {
    "unsupported-slide": (
        "Send it as one of the formats that are read here, a slide in several files as a folder or a ZIP archive. "
        "`coverslip inspect --why FILE` says why each reader declined."
    ),
    "damaged-slide": (
        "Compare the file with the scanner's own copy; copy or export it again and send that. If the scanner's viewer "
        "opens the very same file, report it with the code and the place."
    ),
    "not-one-slide": "Put all files of one slide, and none of another, into one folder or ZIP archive and send that.",
    "unknown-structure": "A curator rejects it, or keeps it until a reader learns what stands at that place.",
    "limit-exceeded": "Export it smaller or in parts; whoever runs this server can say what the limits are.",
    "input-error": "Export the slide again and send that.",
    "policy-invalid": f"{WAITS} queue it again when the policy is mended (`coverslip policy check FILE`).",
    "verification-failed": (
        "Nothing of it was shown to anybody. A curator reads the findings and rejects it; report them, since this is a "
        "fault of ours or a kind of slide we do not know."
    ),
    "output-exists": "Something of the same name was there already. Queue it again.",
    "storage-failed": f"{WAITS} queue it again when the disk is well.",
    "storage-away": f"{WAITS} queue it again when the bucket answers.",
    "storage-full": f"{WAITS} queue it again when there is room.",
    "original-damaged": "What was kept of it cannot be read any more. Reject it and send the file again.",
    "original-purged": "There is nothing left to work on. Send the file again.",
    "pyramid-invalid": "Queue it again. When it ends the same way, scan or export the slide again.",
    "cancelled": "Somebody stopped the work. Queue it again, or reject it.",
    "confinement-failed": "Whoever runs this server looks at `coverslip doctor` and queues it again.",
    "child-not-started": (
        f"{WAITS} queue it again. Whoever runs this server looks at `coverslip doctor` and at how many processes and "
        "how much memory a worker may have."
    ),
    "child-crashed": (
        "The file ended what read it, at every attempt, and did no other harm. Reject it; keep the file and report it."
    ),
    "child-timed-out": "Whoever runs this server can allow more time and queue it again.",
    "child-out-of-memory": "Whoever runs this server can allow more memory and queue it again.",
    "worker-lost": (
        "The worker died each time. Whoever runs this server looks for what ended it, often a lack of memory, and "
        "queues it again."
    ),
    "coverslip-error": "A fault of ours. Report it with the code; queue it again, or reject it.",
}
"""What to do about each code that can stand on a slide."""


def meaning(code: str) -> str:
    """One sentence on what a code says."""
    return by_code(code).summary


def advice(code: str) -> str:
    """What to do about it; the most general advice for a code of a later version."""
    return TODO.get(code, TODO["coverslip-error"])
