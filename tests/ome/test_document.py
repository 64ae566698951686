"""OME-XML as a tree: what is the schema's, what is somebody else's, and what begins like a block."""

import pytest

from coverslip.errors import DamagedSlide, LimitExceeded
from coverslip.ome import document
from coverslip.ome.document import is_ome, parse

NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'<OME xmlns="{NAMESPACE}"/>', True),
        (f'<?xml version="1.0"?><!-- words --> <OME xmlns="{NAMESPACE}"><Ima', True),
        (f'<a:OME xmlns:a="{NAMESPACE.replace("2016-06", "2011-06")}">', True),
        ('<OME xmlns="http://www.openmicroscopy.org/XMLschemas/OME/FC/ome.xsd">', False),
        ("<OME/>", False),
        (f'<Not xmlns="{NAMESPACE}"/>', False),
        (f'<x><OME xmlns="{NAMESPACE}"/></x>', False),
        ("Aperio Image Library", False),
        ("", False),
        ('<?xml version="1.0" encoding="UTF-0"?><OME', False),
    ],
)
def test_what_begins_like_a_block(text, expected):
    """The root's name and namespace decide; what follows may be damaged, what is not XML is nothing."""
    assert is_ome(text.encode() + b"\0") is expected


def test_names_of_others_are_not_the_schema_s():
    """An element or attribute of another namespace never answers to a name of ours."""
    inside = '<x:Image x:SizeX="1"/><Image x:SizeX="2" SizeX="3"/>'
    found = parse(f'<OME xmlns="{NAMESPACE}" xmlns:x="urn:a b">{inside}</OME>'.encode(), "")
    assert [node.get("SizeX") for node in found.root.all("Image")] == ["3"]
    assert "SizeX" not in dict(found.root.children[0].attributes)
    assert found.root.children[0].foreign
    assert found.beside == ("x urn:a b",)


def test_texts_comments_and_instructions_are_kept():
    """Character data in pieces, CDATA too, is one text; what stands beside elements is remembered."""
    found = parse(f'<!--one--><OME xmlns="{NAMESPACE}">a<!--two-->b<![CDATA[<c>]]><?do it?></OME>'.encode(), "")
    assert found.root.text == "ab<c>"
    assert found.beside == ("one", "two", "do it")


@pytest.mark.parametrize("name", ["MAX_NODES", "MAX_VALUES"])
def test_more_than_anybody_writes_is_refused(monkeypatch, name):
    """Elements and values are counted while the parser runs, not when it is too late."""
    monkeypatch.setattr(document, name, 20)
    many = '<M K="1"/>' * 21
    text = f'<OME xmlns="{NAMESPACE}">{many}</OME>'
    with pytest.raises(LimitExceeded):
        parse(text.encode(), "")


def test_the_place_is_named_and_the_value_is_not():
    """An error of the parser says where, never what stood there."""
    with pytest.raises(DamagedSlide) as refused:
        parse(b'<OME Name="DOE^JANE">', "ifd[0]/ImageDescription")
    assert str(refused.value) == "ifd[0]/ImageDescription: the OME-XML is not well-formed"
