"""The one error tree: what can go wrong, each with a code that never changes.

    CoverslipError
    ├── InputError                 the file is at fault
    │   ├── UnsupportedSlide       unsupported-slide      no reader takes it
    │   ├── DamagedSlide           damaged-slide          a structure contradicts itself
    │   ├── NotOneSlide            not-one-slide          a folder or archive with none, several, or half a slide
    │   ├── UnknownStructure       unknown-structure      a page or image nobody understands
    │   └── LimitExceeded          limit-exceeded         larger or deeper than we are willing to parse
    ├── PolicyInvalid              policy-invalid         a policy file that does not say what it means
    ├── SettingsInvalid            settings-invalid       a setting with a value it cannot have
    ├── VerificationFailed         verification-failed    the clean slide did not pass its verifier
    ├── OutputExists               output-exists          something already has the final name
    ├── StorageFailed              storage-failed         reading or writing our own files failed
    │   ├── StorageAway            storage-away           the bucket gives no answer for now
    │   ├── StorageFull            storage-full           no room for what was announced
    │   └── OriginalDamaged        original-damaged       an encrypted original, or its key, is not what was kept
    ├── PyramidInvalid             pyramid-invalid        an index that does not fit its slide or its checksum
    ├── TileNotFound               tile-not-found         no such level, column or row
    ├── AddressInvalid             address-invalid        an address that asks for a picture nobody can make
    ├── FeatureUnsupported         feature-unsupported    a feature of a protocol that is not offered
    ├── Cancelled                  cancelled              somebody asked us to stop
    ├── ConfinementFailed          confinement-failed     the child that parses did not end as it should
    │   ├── ChildNotStarted        child-not-started      there was none: the machine gives no process, or no walls
    │   ├── ChildCrashed           child-crashed
    │   ├── ChildTimedOut          child-timed-out
    │   ├── ChildOutOfMemory       child-out-of-memory
    │   └── WorkerLost             worker-lost            the worker itself died, at every attempt
    └── CatalogError               the record of what exists
        ├── NotFound               not-found
        ├── OriginalPurged         original-purged        its key was destroyed, for good
        ├── StateConflict          state-conflict         that move is not legal from this state
        │   └── Outdated           outdated               somebody moved it since the caller looked
        ├── LeaseLost              lease-lost             somebody else holds a newer token
        └── NotPermitted           not-permitted

A message names the *place* (`ifd[0]/ImageDescription/Title`), never what stood there: errors travel into logs, metrics
and answers, and values may be identifiers. Only `code` and `where` cross a process boundary.
"""

from __future__ import annotations


class CoverslipError(Exception):
    """Root of everything Coverslip raises on purpose."""

    code = "coverslip-error"
    summary = "Something went wrong that has no name of its own yet."

    def __init__(self, detail: str = "", *, where: str = "") -> None:
        """Say what happened in our own words and, if it helps, at which element path."""
        self.detail = detail or self.summary
        self.where = where
        super().__init__(f"{where}: {self.detail}" if where else self.detail)


class InputError(CoverslipError):
    """The file that came in is at fault."""

    code = "input-error"
    summary = "The file cannot be processed."


class UnsupportedSlide(InputError):
    """No reader takes the file."""

    code = "unsupported-slide"
    summary = "No reader takes this file."


class DamagedSlide(InputError):
    """A structure of the file contradicts itself or ends early."""

    code = "damaged-slide"
    summary = "The file's structure contradicts itself or ends early."


class NotOneSlide(InputError):
    """A folder or archive in which there is not exactly one whole slide."""

    code = "not-one-slide"
    summary = (
        "A folder or archive must hold exactly one slide: a slide file, an .mrxs file with its folder, a .vms or .vmu "
        "file with its pictures, or the files of one DICOM series."
    )


class UnknownStructure(InputError):
    """A page, image or instance that nobody understands: the slide is quarantined, the batch goes on."""

    code = "unknown-structure"
    summary = "The file holds a page or image nobody understands."


class LimitExceeded(InputError):
    """A count, size or depth beyond what we are willing to parse."""

    code = "limit-exceeded"
    summary = "The file is larger, deeper or more numerous than the limits allow."


class PolicyInvalid(CoverslipError):
    """A policy file that does not say what it means."""

    code = "policy-invalid"
    summary = "The policy cannot be used."


class SettingsInvalid(CoverslipError):
    """A setting in the environment has a value it cannot have."""

    code = "settings-invalid"
    summary = "A setting has a value it cannot have."


class VerificationFailed(CoverslipError):
    """The clean slide did not pass its verifier, so it has no final name."""

    code = "verification-failed"
    summary = "The verifier found something in the clean slide."


class OutputExists(CoverslipError):
    """Something already has the final name; nothing is overwritten."""

    code = "output-exists"
    summary = "The output already exists."


class StorageFailed(CoverslipError):
    """Reading or writing our own files failed; a failed fsync is never retried."""

    code = "storage-failed"
    summary = "Reading or writing storage failed."


class StorageAway(StorageFailed):
    """Where slides lie gives no answer for now: nobody's fault here, and it will be back."""

    code = "storage-away"
    summary = "Where slides lie gives no answer at the moment."


class StorageFull(StorageFailed):
    """There is no room for what was announced."""

    code = "storage-full"
    summary = "There is not enough room."


class OriginalDamaged(StorageFailed):
    """A frame of an original is not what was kept: flipped, dropped, swapped, cut short, or read with a wrong key."""

    code = "original-damaged"
    summary = "An original is not what was kept."


class PyramidInvalid(CoverslipError):
    """An index that does not fit its slide or its own checksum."""

    code = "pyramid-invalid"
    summary = "The pyramid index does not fit its slide."


class TileNotFound(CoverslipError):
    """No such level, column or row."""

    code = "tile-not-found"
    summary = "There is no such tile."


class AddressInvalid(CoverslipError):
    """A picture's address does not parse or asks for pixels there cannot be."""

    code = "address-invalid"
    summary = "The address asks for a picture there cannot be."


class FeatureUnsupported(CoverslipError):
    """The protocol has such a feature; it is not offered here."""

    code = "feature-unsupported"
    summary = "This feature of the protocol is not offered."


class Cancelled(CoverslipError):
    """Somebody asked us to stop; nothing half done is left behind."""

    code = "cancelled"
    summary = "The work was cancelled."


class ConfinementFailed(CoverslipError):
    """The child process that parses did not end as it should."""

    code = "confinement-failed"
    summary = "The confined process did not end as it should."


class ChildNotStarted(ConfinementFailed):
    """No child looked at the slide: the machine gave no process, or not the walls it has to have."""

    code = "child-not-started"
    summary = "No confined process could be started."


class ChildCrashed(ConfinementFailed):
    """The confined process died from a signal or an unexpected exit."""

    code = "child-crashed"
    summary = "The confined process died."


class ChildTimedOut(ConfinementFailed):
    """The confined process used up its wall or CPU time."""

    code = "child-timed-out"
    summary = "The confined process used up its time."


class ChildOutOfMemory(ConfinementFailed):
    """The confined process used up its memory."""

    code = "child-out-of-memory"
    summary = "The confined process used up its memory."


class WorkerLost(ConfinementFailed):
    """The worker itself died at every attempt, so nobody can say why."""

    code = "worker-lost"
    summary = "The worker died at every attempt."


class CatalogError(CoverslipError):
    """The record of what exists says no."""

    code = "catalog-error"
    summary = "The catalogue refused."


class NotFound(CatalogError):
    """Unknown or invisible: the answer is the same."""

    code = "not-found"
    summary = "There is no such thing here."


class OriginalPurged(CatalogError):
    """The original's key was destroyed when its retention ran out or somebody asked; nothing brings it back."""

    code = "original-purged"
    summary = "The original was purged."


class StateConflict(CatalogError):
    """That move is not legal from the present state."""

    code = "state-conflict"
    summary = "That is not possible in the present state."


class Outdated(StateConflict):
    """Somebody changed the record since the caller looked at it."""

    code = "outdated"
    summary = "This has changed since you looked. Look again, then decide."


class LeaseLost(CatalogError):
    """Somebody else holds a newer fencing token; whatever was made is not published."""

    code = "lease-lost"
    summary = "A newer claim on this job exists."


class NotPermitted(CatalogError):
    """The caller's roles do not cover this."""

    code = "not-permitted"
    summary = "The roles of this key do not allow that."


def tree(root: type[CoverslipError] = CoverslipError) -> tuple[type[CoverslipError], ...]:
    """Every error class below and including `root`, depth first."""
    return (root, *(found for child in root.__subclasses__() for found in tree(child)))


def by_code(code: str) -> type[CoverslipError]:
    """The class that carries `code`; `CoverslipError` for a code nobody defines any more."""
    return next((found for found in tree() if found.code == code), CoverslipError)
