"""Resumable uploads: tus 1.0.0 with creation, expiration and termination, and a whole-file SHA-256 before any job.

A client that can hash first names `sha256` in Upload-Metadata. One that cannot sends `Repr-Digest` (RFC 9530) with its
last PATCH, which may be empty. Until the digest is known and matches what lies on the disk, nothing is queued.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from coverslip.archive.arrivals import Writer
from coverslip.archive.records import Load, Principal, Upload
from coverslip.archive.storage import Zone
from coverslip.archive.turns import Priority
from coverslip.errors import NotFound, NotPermitted
from service import tus
from service.auth import SignedIn, Submitter
from service.checksums import ALGORITHMS, Checksum, checked, checksum_of
from service.context import Here, Service, ask
from service.crews import FINISHING, UPLOADING
from service.errors import DigestMismatch, OffsetConflict, QuotaExceeded, TooLarge, TooManyUploads, UploadExpired
from service.receiving import Line, receive, require_room, unless_ended
from service.roles import Role, has

router = APIRouter(prefix="/uploads", tags=["uploads"])

PATIENCE = 30.0
"""Seconds in which a PATCH brings 64 KiB, or is ended; what came is kept."""


@router.options("")
@router.options("/{uid}")
async def abilities(service: Here, uid: str = "") -> Response:
    """What this server speaks; the one tus request that needs no credential."""
    said = {"Tus-Version": tus.VERSION, "Tus-Extension": tus.EXTENSIONS, "Tus-Max-Size": str(largest(service))}
    said["Tus-Checksum-Algorithm"] = ",".join(ALGORITHMS)
    return Response(status_code=204, headers=said)


@router.post("", status_code=201)
async def create(request: Request, service: Here, caller: Submitter) -> Response:
    """Announce a file: nothing is stored but a row, and only if there will be room."""
    tus.require_version(request.headers)
    length = tus.length_of(request.headers, largest(service))
    said = tus.metadata_of(request.headers)
    upload = await ask(_admit, service, caller, length, said)
    where = {"Location": f"/uploads/{upload.uid}", "Upload-Expires": tus.expires(upload.expires)}
    return Response(status_code=201, headers=where)


@router.head("/{uid}")
async def offset(uid: str, request: Request, service: Here, caller: Submitter) -> Response:
    """How far we are, and what slide it became; whoever asks is about to resume: an older request is ended first."""
    tus.require_version(request.headers)
    was_taken = service.floor.is_taken(uid)
    upload = await ask(_owned, service, caller, uid)
    if was_taken or service.floor.is_taken(uid):  # what it promised until its end counts, too
        await service.floor.clear(uid)
        upload = await ask(_owned, service, caller, uid)
    return Response(status_code=200, headers={**_progress(upload), "Upload-Length": str(upload.length)})


@router.patch("/{uid}")
async def append(uid: str, request: Request, service: Here, caller: Submitter) -> Response:
    """Take bytes at the acknowledged offset; the newest request wins."""
    tus.require_version(request.headers)
    tus.require_chunk(request.headers)
    claimed, declared = tus.offset_of(request.headers), tus.digest_of(request.headers)
    checksum = checksum_of(request.headers)
    upload = await ask(_owned, service, caller, uid)
    if claimed + (tus.announced_bytes(request.headers) or 0) > upload.length:
        raise TooLarge("More bytes than Upload-Length announced.")
    if upload.sid is not None and claimed == upload.length:  # the answer that said so was lost
        return Response(status_code=204, headers=_progress(upload))
    async with service.floor.taken(uid, Line(request, PATIENCE)) as line:
        upload = await _receive(service, uid, claimed, line, checksum)
        if upload.offset == upload.length:
            upload = replace(upload, sid=await FINISHING.run(_finish, service, caller, upload, declared))
    return Response(status_code=204, headers=_progress(upload))


@router.delete("/{uid}")
async def terminate(uid: str, request: Request, service: Here, caller: SignedIn) -> Response:
    """Forget an upload and its bytes."""
    tus.require_version(request.headers)
    await ask(_owned, service, caller, uid)
    await service.floor.clear(uid)
    await ask(service.archive.terminate_upload, uid, caller.owner)
    return Response(status_code=204)


def largest(service: Service) -> int:
    """Bytes of the largest file that is taken."""
    return min(service.settings.max_upload_bytes, service.archive.arrivals.largest)


async def _receive(service: Service, uid: str, claimed: int, line: Line, checksum: Checksum | None) -> Upload:
    """Take the body down; the upload as it is then, with everything that came promised."""
    upload, target = await UPLOADING.run(_begun, service, uid, claimed)
    pieces = line.pieces()
    if checksum is not None:
        pieces = checked(pieces, checksum, service.storage.zone(Zone.INCOMING), upload.length - claimed)
    try:
        await receive(pieces, target, upload.length)
    finally:
        target.close()
    return replace(upload, offset=target.offset)


def _begun(service: Service, uid: str, claimed: int) -> tuple[Upload, Writer]:
    """Make this request the one that writes; raises `OffsetConflict` when it would write somewhere else."""
    generation = service.archive.begin_patch(uid)
    upload = replace(service.catalog.upload(uid), generation=generation)
    if claimed != upload.offset:
        raise OffsetConflict
    with unless_ended():
        return upload, service.archive.writer(upload, generation)


def _admit(service: Service, caller: Principal, length: int, said: tus.Metadata) -> Upload:
    settings, on_disk = service.settings, service.archive.arrivals.on_disk

    def admit(load: Load) -> None:
        if load.open_now >= settings.max_open_uploads:
            raise TooManyUploads
        _require_quota(service, load.owned + length)
        require_room(service.storage, length, load, settings.disk_reserve_ratio, on_disk=on_disk)

    until = datetime.now(UTC) + settings.upload_expiry
    name, wishes = said.untrusted_filename, said.wishes()
    return service.catalog.create_upload(caller.owner, length, until, name, wishes, admit=admit)


def _require_quota(service: Service, owned: int) -> None:
    if 0 < service.settings.owner_bytes < owned:
        raise QuotaExceeded


def _finish(service: Service, caller: Principal, upload: Upload, declared: str | None) -> str | None:
    """Queue the slide if its digest is known and right; an upload takes long: permission and quota are asked again."""
    said = service.catalog.unseal(upload.uid, caller.owner).metadata
    expected = declared or said.get("sha256")
    if expected is None:
        return None

    def check(found: str) -> None:
        if found != expected:
            raise DigestMismatch
        if not has(service.sessions.current(caller.key_id), Role.SUBMITTER):
            raise NotPermitted
        if service.settings.owner_bytes:
            _require_quota(service, service.catalog.load(upload.owner).owned)

    policy, collection = (
        said.get("policy", service.settings.policy),
        said.get("collection", service.settings.collection),
    )
    with unless_ended():
        urgency, submission = _urgency(caller), said.get("submission", "")
        return service.archive.finish_upload(upload, policy, collection, check, urgency, submission)


def _urgency(caller: Principal) -> Priority:
    """A curator waits for the slide; the catalogue takes more than a few of an owner's for the batch they are."""
    return Priority.FIRST if has(caller, Role.CURATOR) else Priority.USUAL


def _owned(service: Service, caller: Principal, uid: str) -> Upload:
    upload = service.catalog.upload(uid)
    if upload.owner != caller.owner and not has(caller, Role.ADMIN):
        raise NotFound
    if upload.state == "terminated" or (upload.state == "open" and upload.expires < datetime.now(UTC)):
        raise UploadExpired
    return upload


def _progress(upload: Upload) -> dict[str, str]:
    return {
        "Upload-Offset": str(upload.offset),
        "Upload-Expires": tus.expires(upload.expires),
        "Cache-Control": "no-store",
        **({"Coverslip-Slide": upload.sid} if upload.sid else {}),
    }
