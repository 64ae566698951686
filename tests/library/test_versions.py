"""Versions read off the names of folders are what the standard library finds inside them."""

import importlib.metadata as metadata

from coverslip.certificate import TOOLS
from coverslip.versions import version_of


def test_every_installed_distribution_has_the_version_its_metadata_says():
    """Spelled in any way; where two of a name lie on the path, the first counts, as for an import."""
    names = {found.metadata["Name"] for found in metadata.distributions()}
    assert {*TOOLS} <= {name.lower() for name in names}
    for name in names:
        assert version_of(name) == metadata.version(name)
        assert version_of(name.upper().replace("-", "_")) == metadata.version(name)


def test_what_is_not_installed_has_no_version():
    """turbojpeg, where there is no wheel of it."""
    assert version_of("no-such-distribution") == ""
