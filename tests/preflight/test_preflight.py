"""What is refused before a library opens the file."""

import os
import struct

import numpy as np
import openslide
import pydicom
import pytest

from coverslip import preflight
from coverslip.errors import DamagedSlide, InputError, LimitExceeded, UnsupportedSlide
from coverslip.formats import open_slide
from coverslip.geometry import Size
from coverslip.preflight import dicom, natives, xml
from samples import dicom as dicom_samples
from samples import mirax, ndpi
from samples.surgery import Patient

BILLION = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><OME>&b;</OME>'
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><scn>&x;</scn>'


@pytest.mark.parametrize("text", [BILLION, OUTSIDE, b"<!DocType x><a/>"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-16le", "utf-16be", "utf-32", "utf-8-sig"])
def test_document_types_are_refused_in_every_encoding(text, encoding):
    """No entity is ever declared, so none can expand or reach out."""
    raw = text.decode().encode(encoding)
    assert xml.looks_like_xml(raw)
    with pytest.raises(InputError):
        xml.check(raw, "ifd[0]/ImageDescription")


@pytest.mark.parametrize("encoding", ["utf-7", "ebcdic-cp-us", "gb18030", "IBM037", "x"])
def test_strange_encodings_are_refused(encoding):
    """One parser's words are another's markup."""
    with pytest.raises(DamagedSlide):
        xml.check(f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode(), "here")


def test_ebcdic_is_refused():
    """Without a word of ASCII in it."""
    raw = BILLION.decode().encode("cp037")
    assert xml.looks_like_xml(raw)
    with pytest.raises(DamagedSlide):
        xml.check(raw, "here")


def test_depth_and_length_of_xml():
    """Sixty-four levels and sixteen mebibytes."""
    xml.check(b"<a>" * 64 + b"</a>" * 64, "here")
    with pytest.raises(LimitExceeded):
        xml.check(b"<a>" * 65 + b"</a>" * 65, "here")
    with pytest.raises(LimitExceeded):
        xml.check(b"<a>" + b" " * xml.MAX_BYTES + b"</a>", "here")


def test_plain_descriptions_are_no_xml():
    """Aperio's line and broken XML pass: who reads them says what is wrong."""
    assert not xml.looks_like_xml(b"Aperio Image Library v11\r\n")
    xml.check(b"<OME", "here")


def test_xml_is_looked_at_in_a_slide_opened_through_openslide(tmp_path, monkeypatch):
    """An NDPI with a document type is refused before OpenSlide sees it."""
    path = tmp_path / "slide.ndpi"
    from samples.tiffmaker import text

    monkeypatch.setattr(
        ndpi, "long", lambda code, *values: text(270, BILLION) if code == ndpi.FORMAT else longs(code, *values)
    )
    from samples.tiffmaker import long as longs

    ndpi.write(path)
    opened = []
    monkeypatch.setattr(openslide.OpenSlide, "detect_format", lambda name: opened.append(name))
    with pytest.raises(LimitExceeded):
        open_slide(path)
    assert not opened


@pytest.mark.parametrize(("code", "value"), [(256, 1 << 22), (257, 1 << 31)])
def test_tiff_limits_hold_for_converted_slides(tmp_path, code, value):
    """An NDPI that claims more pixels a side than anybody scans."""
    patient = Patient(ndpi.write(tmp_path / "sound.ndpi").read_bytes())
    path = tmp_path / "slide.ndpi"
    path.write_bytes(patient.point(0, code, value).data)
    with pytest.raises(LimitExceeded):
        preflight.check(path)


@pytest.fixture
def series(tmp_path):
    """Writes a small series; `edit` may change the dataset of its first instance."""

    def write(edit=lambda dataset: None, **options):
        folder = dicom_samples.write(tmp_path / "series")
        path = folder / "level0.dcm"
        dataset = pydicom.dcmread(path)
        edit(dataset)
        dataset.save_as(path, **options)
        return path

    return write


def nested(depth, *, undefined):
    """A sequence within a sequence, and so on."""
    item = pydicom.Dataset()
    item.PatientID = "x"
    for _ in range(depth):
        outer = pydicom.Dataset()
        outer.ReferencedSeriesSequence = [item]
        outer["ReferencedSeriesSequence"].is_undefined_length = undefined
        item.is_undefined_length_sequence_item = undefined
        item = outer
    return item


@pytest.mark.parametrize("undefined", [True, False])
def test_nesting_of_sequences(series, undefined):
    """Thirty-two levels pass, one more does not, whether lengths are stated or not."""
    dicom.check(series(lambda found: found.update(nested(32, undefined=undefined))))
    with pytest.raises(LimitExceeded):
        dicom.check(series(lambda found: found.update(nested(33, undefined=undefined))))


def test_a_thousand_open_sequences_end_in_a_code(tmp_path):
    """Never closed, so a recursive reader dies of them; ours and the whole way do not."""
    folder = dicom_samples.write(tmp_path / "series")
    path = folder / "level0.dcm"
    data = path.read_bytes()
    at = data.index(b"\x08\x00\x08\x00CS")
    opening = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(data[:at] + opening * 5000 + data[at:])
    with pytest.raises(LimitExceeded):
        open_slide(path)


@pytest.mark.parametrize("syntax", dicom.DEFLATED)
def test_deflated_dicom_is_refused(series, syntax):
    """Its size shows only when it is inflated, and the parser inflates it whole."""
    path = series()
    data = path.read_bytes().replace(b"1.2.840.10008.1.2.4.50", syntax.ljust(22, b"\0"))
    path.write_bytes(data)
    with pytest.raises(UnsupportedSlide):
        open_slide(path)


def test_long_values_are_refused(series):
    """Seventeen mebibytes of a private value."""
    with pytest.raises(LimitExceeded):
        dicom.check(series(lambda found: found.add_new(0x00091001, "OB", bytes(17 << 20))))


def test_lengths_beyond_the_end(series):
    """An element that claims what is not there."""
    path = series()
    data = path.read_bytes()
    at = data.index(b"\x48\x00\x05\x01SQ")
    path.write_bytes(data[: at + 8] + struct.pack("<I", 0x7FFFFFFF) + data[at + 12 :])
    with pytest.raises(DamagedSlide):
        dicom.check(path)


def test_unknown_sequences_are_implicit(series):
    """A private sequence of unknown kind, as PS3.5 §6.2.2 wants it, is walked and passes."""
    path = series()
    data = path.read_bytes()
    at = data.index(b"\x08\x00\x08\x00CS")
    inner = b"\x10\x00\x20\x00\x04\0\0\0ABCD"
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(inner)) + inner
    unknown = b"\x07\x00\x10\x10UN\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    path.write_bytes(data[:at] + unknown + data[at:])
    dicom.check(path)


def test_a_neighbour_of_a_dicom_file_is_looked_at_too(series):
    """OpenSlide opens the whole folder."""
    path = series()
    other = path.with_name("level1.dcm")
    other.write_bytes(other.read_bytes().replace(b"1.2.840.10008.1.2.4.50", dicom.DEFLATED[0]))
    with pytest.raises(UnsupportedSlide):
        preflight.check(path)


def test_a_long_settings_file(tmp_path):
    """Slidedat.ini is read whole."""
    planted = mirax.write(tmp_path / "slide.mrxs", columns=1, rows=1, levels=1)
    preflight.check(planted.path)
    with (tmp_path / "slide" / "Slidedat.ini").open("ab") as file:
        file.truncate(preflight.MAX_INI + 1)
    with pytest.raises(LimitExceeded):
        open_slide(planted.path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    """Reading one would never end."""
    os.mkfifo(tmp_path / "slide.svs")
    with pytest.raises(UnsupportedSlide):
        open_slide(tmp_path / "slide.svs")


def test_too_many_files(tmp_path, monkeypatch):
    """Counted while listing."""
    monkeypatch.setattr(preflight, "MAX_FILES", 3)
    for number in range(4):
        (tmp_path / str(number)).touch()
    with pytest.raises(LimitExceeded):
        preflight.check(tmp_path)


@pytest.mark.parametrize(
    ("versions", "names"),
    [({"OpenSlide": "4.0.0", "Pillow": "13.0.0"}, "OpenSlide"), ({"OpenSlide": "4.0.1", "Pillow": "12.9"}, "Pillow"),
     ({"OpenSlide": "unknown", "Pillow": "13.0.0"}, "OpenSlide")],
)  # fmt: skip
def test_old_libraries_stop_the_program(versions, names):
    """What is known to write outside its memory is not given a file."""
    with pytest.raises(ImportError, match=names):
        natives.require(versions)


def test_the_loaded_libraries_are_new_enough():
    """As they are asserted when the readers are imported."""
    natives.require(natives.found())
    natives.require({"OpenSlide": "4.0.1", "Pillow": "13.0.0"})


def test_two_series_in_one_folder(tmp_path):
    """Mixed series may be mixed patients: nobody guesses."""
    from coverslip.errors import NotOneSlide

    folder = dicom_samples.write(tmp_path / "series")
    pixels = np.zeros((64, 64, 3), np.uint8)
    other = dicom_samples.instance(pixels, 5, Size(64, 64), series=f"{dicom_samples.ROOT}.9", patient="other")
    other.save_as(folder / "other.dcm", enforce_file_format=True)
    with pytest.raises(NotOneSlide):
        open_slide(folder)
