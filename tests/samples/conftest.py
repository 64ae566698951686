"""Slides that several tests look at, made once per process."""

import pytest

from coverslip.geometry import Size
from samples import aperio, generic, mirax, ome

APERIO = {
    "jpeg": {},
    "tile-240": {"tile": 240},
    "gt450": {"codec": "jpeg-ycbcr", "variant": "gt450"},
    "big": {"bigtiff": True},
    "j2k-ycbcr": {"codec": "j2k-ycbcr"},
    "j2k-rgb": {"codec": "j2k-rgb"},
    "no-traps": {"traps": ()},
    "bare": {"identifiers": False},
}
GENERIC = {
    "jpeg": {"codec": "jpeg"},
    "jpeg-ycbcr": {},
    "jpeg-422": {"subsampling": "422"},
    "deflate-predictor": {"codec": "deflate", "predictor": 2},
    "lzw-predictor": {"codec": "lzw", "predictor": 2, "bigtiff": True},
    "none": {"codec": "none"},
    "j2k": {"codec": "j2k"},
    "subifds": {"pyramid": "subifds"},
    "big-endian": {"order": ">"},
    "big-endian-big": {"order": ">", "bigtiff": True, "codec": "deflate"},
    "ome": {"ome": True, "order": ">", "pyramid": "subifds"},
    "bare": {"identifiers": False},
}
OME = {
    "stack": {"z": 2, "channels": 2},
    "each": {"t": 2, "style": "each", "codec": "none", "order": ">", "dimensions": "XYTZC"},
    "rgb": {"rgb": True, "codec": "jpeg", "beside": ("label", "macro")},
    "label first": {"rgb": True, "codec": "deflate", "beside": ("label", "macro"), "beside_first": True},
    "grey jpeg": {"bits": 8, "codec": "jpeg", "channels": 2, "bigtiff": True},
    "j2k": {"codec": "j2k"},
    "bare": {"identifiers": False, "channels": 2},
}
SIZE = Size(1300, 900)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A function that makes the named slide, or gives the one made before."""
    folder, known = tmp_path_factory.mktemp("slides"), {}

    def make(kind, name):
        if (kind, name) not in known:
            where = folder / f"{kind}-{name}"
            where.mkdir()
            match kind:
                case "aperio":
                    known[kind, name] = aperio.write(where, SIZE, **APERIO[name])
                case "ome":
                    known[kind, name] = ome.write(where, Size(600, 400), **OME[name])
                case "generic":
                    known[kind, name] = generic.write(where, SIZE, **GENERIC[name])
                case _:
                    known[kind, name] = mirax.write(where)
        return known[kind, name]

    return make


def pytest_generate_tests(metafunc):
    """Run a test that asks for `aperio_name`, `generic_name` or `ome_name` once for each variant."""
    for argument, table in (("aperio_name", APERIO), ("generic_name", GENERIC), ("ome_name", OME)):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, sorted(table))
