"""What the front end refuses by itself, and THE table from error code to status.

CoverslipError
└── RequestRefused
    ├── Malformed               malformed-request       a header, parameter or body that does not parse
    ├── SignInNeeded            sign-in-needed          no credential, or one that is no longer good
    │   └── KeyRefused              key-refused             a bearer token that is no key of ours, or none any more
    ├── ForeignOrigin           foreign-origin          a browser sends a change from somebody else's page
    ├── UploadExpired           upload-expired          there was such an upload
    ├── OffsetConflict          offset-conflict         the bytes do not start where ours end
    ├── DigestMismatch          digest-mismatch         what arrived is not what was sent
    ├── ChecksumMismatch        checksum-mismatch       the bytes of one PATCH are not what it says
    ├── TusVersionUnknown       tus-version             not tus 1.0.0
    ├── ContentTypeWrong        content-type            not a body this place takes
    ├── NotAcceptable           not-acceptable          the caller takes other kinds of answers only
    ├── TooLarge                too-large               more bytes than this server takes at once
    ├── HeadTooLarge            head-too-large          request line and headers are longer than anybody needs
    ├── HeadLate                head-late               a request began and did not go on
    ├── RangeOutside            range-outside           bytes the file does not have
    ├── TooManyUploads          too-many-uploads        finish or remove one first
    ├── QuotaExceeded           quota-exceeded          one owner's uploads and originals hold all they may
    ├── UploadStalled           upload-stalled          too few bytes for too long; what came is kept
    ├── Superseded              superseded              a newer request writes this upload now
    ├── NotReady                not-ready               the slide has no tiles yet
    ├── Withdrawn               withdrawn               it was public once and is no longer
    └── Overloaded              overloaded              try again in a moment
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import orjson
from starlette.responses import Response

from coverslip.errors import CoverslipError, tree
from coverslip.scarcity import is_scarcity

PROBLEM_TYPE = "application/problem+json"
LATER = "5"
"""Seconds after which to ask again for what a disk, a bucket or a database did not give now."""


class RequestRefused(CoverslipError):
    """The front end says no before anything else was asked."""

    code = "request-refused"
    summary = "The request was refused."
    headers: Mapping[str, str] = MappingProxyType({})
    """Answer headers that belong to this refusal."""
    more: Mapping[str, str] = MappingProxyType({})
    """Members of the problem that belong to it."""


class Malformed(RequestRefused):
    """A header, parameter or body that does not parse."""

    code = "malformed-request"
    summary = "The request could not be understood."


class SignInNeeded(RequestRefused):
    """No credential, or one that is no longer good."""

    code = "sign-in-needed"
    summary = "Sign in, or send an API key as a bearer token."
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="coverslip"'})


class KeyRefused(SignInNeeded):
    """A bearer token that is no key of ours, or none any more (RFC 6750, 3.1)."""

    code = "key-refused"
    summary = "This key is not one of ours, or it has been revoked."
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="coverslip", error="invalid_token"'})


class ForeignOrigin(RequestRefused):
    """A browser sends a change that did not start on one of our pages."""

    code = "foreign-origin"
    summary = "Changes are only taken from this site's own pages."


class UploadExpired(RequestRefused):
    """There was such an upload; it is gone."""

    code = "upload-expired"
    summary = "This upload has expired. Begin a new one."


class OffsetConflict(RequestRefused):
    """The bytes offered do not start where the stored ones end."""

    code = "offset-conflict"
    summary = "The offset is not the one stored here. Ask with HEAD and go on from there."


class DigestMismatch(RequestRefused):
    """The stored bytes do not have the digest the sender computed (tus checksum extension: 460)."""

    code = "digest-mismatch"
    summary = "What arrived is not what was sent. Nothing was queued; remove the upload and send the file again."


class ChecksumMismatch(RequestRefused):
    """The bytes of one PATCH are not what its checksum says (tus checksum extension: 460)."""

    code = "checksum-mismatch"
    summary = "These bytes are not what their checksum says. None was kept; send them again from the stored offset."


class TusVersionUnknown(RequestRefused):
    """The client speaks another version of the protocol."""

    code = "tus-version"
    summary = "This server speaks tus 1.0.0."
    headers = MappingProxyType({"Tus-Version": "1.0.0"})


class ContentTypeWrong(RequestRefused):
    """Not a kind of body this place takes."""

    code = "content-type"
    summary = "Send the bytes as application/offset+octet-stream."


class NotAcceptable(RequestRefused):
    """The caller says that it takes other kinds of answers only."""

    code = "not-acceptable"
    summary = "There is no such kind of answer here."


class TooLarge(RequestRefused):
    """More bytes than this server takes at once."""

    code = "too-large"
    summary = "This is larger than the server takes."


class HeadTooLarge(RequestRefused):
    """Request line and headers are longer than anybody needs."""

    code = "head-too-large"
    summary = "The request line and its headers are longer than 64 KiB."


class HeadLate(RequestRefused):
    """A request began and its head did not come to an end in time."""

    code = "head-late"
    summary = "The request's headers did not come in time."


class RangeOutside(RequestRefused):
    """A range of bytes that the file does not have."""

    code = "range-outside"
    summary = "The file has no such range."


class TooManyUploads(RequestRefused):
    """One owner has too many unfinished uploads."""

    code = "too-many-uploads"
    summary = "Too many unfinished uploads. Finish or remove one first."
    headers = MappingProxyType({"Retry-After": "60"})


class QuotaExceeded(RequestRefused):
    """One owner's uploads and kept originals hold as many bytes as they may."""

    code = "quota-exceeded"
    summary = "Your uploads and originals hold all they may. Remove an upload, or ask for originals to be purged."


class UploadStalled(RequestRefused):
    """Too few bytes came for too long; what came is kept."""

    code = "upload-stalled"
    summary = "Too few bytes came for a while. What arrived is kept; go on from the stored offset."


class Superseded(RequestRefused):
    """A newer request writes this upload now; what this one brought is kept."""

    code = "superseded"
    summary = "A newer request has taken over this upload."


class NotReady(RequestRefused):
    """The slide is known but has no tiles yet."""

    code = "not-ready"
    summary = "The slide is not tiled yet."

    def __init__(self, sid: str, job: str | None = None) -> None:
        """Say where to watch the slide's job: its stage and how much of it is done."""
        super().__init__()
        where = f"/api/v1/jobs/{job}" if job else f"/api/v1/slides/{sid}"
        self.headers = MappingProxyType({"Retry-After": "5", "Location": where})
        self.more = MappingProxyType({"job": where})


class LinkExpired(RequestRefused):
    """A link token is out of time, of another slide, or not ours."""

    code = "link-expired"
    summary = "This link has expired or does not open this slide. Ask for a new one."


class Withdrawn(RequestRefused):
    """The slide was public once and is no longer."""

    code = "withdrawn"
    summary = "This slide has been withdrawn."


class Overloaded(RequestRefused):
    """There is no room to answer now."""

    code = "overloaded"
    summary = "The server is busy. Try again in a moment."
    headers = MappingProxyType({"Retry-After": "2"})


STATUS: Mapping[str, int] = MappingProxyType(
    {
        "coverslip-error": 500,
        "input-error": 422,
        "unsupported-slide": 422,
        "not-one-slide": 422,
        "damaged-slide": 422,
        "unknown-structure": 422,
        "limit-exceeded": 422,
        "policy-invalid": 422,
        "verification-failed": 422,
        "output-exists": 409,
        "storage-failed": 503,
        "storage-away": 503,
        "storage-full": 507,
        "original-damaged": 503,
        "pyramid-invalid": 500,
        "tile-not-found": 404,
        "address-invalid": 400,
        "feature-unsupported": 501,
        "cancelled": 409,
        "confinement-failed": 500,
        "child-not-started": 503,
        "child-crashed": 500,
        "child-timed-out": 500,
        "child-out-of-memory": 500,
        "catalog-error": 503,
        "not-found": 404,
        "original-purged": 410,
        "worker-lost": 500,
        "state-conflict": 409,
        "outdated": 412,
        "lease-lost": 409,
        "not-permitted": 403,
        "request-refused": 400,
        "malformed-request": 400,
        "sign-in-needed": 401,
        "key-refused": 401,
        "foreign-origin": 403,
        "upload-expired": 410,
        "offset-conflict": 409,
        "digest-mismatch": 460,
        "checksum-mismatch": 460,
        "tus-version": 412,
        "content-type": 415,
        "not-acceptable": 406,
        "too-large": 413,
        "head-too-large": 431,
        "head-late": 408,
        "range-outside": 416,
        "too-many-uploads": 429,
        "quota-exceeded": 507,
        "upload-stalled": 408,
        "superseded": 409,
        "not-ready": 409,
        "link-expired": 403,
        "withdrawn": 410,
        "overloaded": 503,
    }
)
"""Code → status. A code that is not here answers 500, and a test fails."""

ROUTING_CODES: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        404: ("not-found", "There is no such thing here."),
        405: ("method-not-allowed", "That method does not exist at this address."),
    }
)
"""What the router itself refuses: status → code and sentence."""

UNEXPECTED = ("internal-error", 500, "Something went wrong here; it has been noted.")
"""Code, status and sentence of a crash."""


def status_of(code: str) -> int:
    """The HTTP status for an error code."""
    return STATUS.get(code, 500)


def body_of(code: str, status: int, detail: str, **more: object) -> bytes:
    """A problem+json body (RFC 9457); `detail` is always a sentence of ours, never something a client sent."""
    return orjson.dumps(
        {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail, **more}
    )


def sentence_of(error: CoverslipError) -> str:
    """Our own sentence: a detail from deeper down may have been written for a log."""
    return error.detail if isinstance(error, RequestRefused) else error.summary


def headers_of(error: CoverslipError) -> Mapping[str, str]:
    """Answer headers that belong to an error; whoever is sent away for now is told when to come back."""
    later = {"Retry-After": LATER} if status_of(error.code) == 503 else {}
    return {**later, **(error.headers if isinstance(error, RequestRefused) else {})}


def answer(error: CoverslipError) -> Response:
    """One error as a problem+json response."""
    status = status_of(error.code)
    detail = sentence_of(error)
    headers = {"Cache-Control": "no-store", **headers_of(error)}
    more = error.more if isinstance(error, RequestRefused) else {}
    return Response(body_of(error.code, status, detail, **more), status, headers, PROBLEM_TYPE)


def crashed(error: Exception) -> Response:
    """What is said of an exception nobody foresaw: nothing; `service.edge` logs the place.

    A machine that has no thread, memory or file left will have some in a moment.
    """
    if is_scarcity(error):
        return answer(Overloaded())
    return Response(body_of(*UNEXPECTED), UNEXPECTED[1], {"Cache-Control": "no-store"}, PROBLEM_TYPE)


def no_such_method() -> Response:
    """Where tiles and pictures are, things are only looked at."""
    code, detail = ROUTING_CODES[405]
    headers = {"Allow": "GET, HEAD", "Cache-Control": "no-store"}
    return Response(body_of(code, 405, detail), 405, headers, PROBLEM_TYPE)


def unlisted() -> set[str]:
    """Codes of the tree that the table forgot."""
    return {error.code for error in tree()} - set(STATUS)
