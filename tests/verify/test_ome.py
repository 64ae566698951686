"""The verifier's own grammar of OME-XML, and what it makes of blocks inside other values."""

import pytest

from coverslip.verify import ome
from coverslip.verify.claim import Secret
from coverslip.verify.leaks import Hunt

HEAD = '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
PIXELS = 'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="9" SizeY="9" SizeZ="1" SizeC="1" SizeT="1"'


def block(pixels="", channel='ID="Channel:0:0" SamplesPerPixel="1"', inside="", image=""):
    """A clean slide's block, but for what is asked for."""
    below = f'<Channel {channel}/><TiffData FirstZ="0" FirstT="0" FirstC="0" IFD="0" PlaneCount="1"/>{inside}'
    return f'{HEAD}<Image ID="Image:0"{image}><Pixels {PIXELS}{pixels}>{below}</Pixels></Image></OME>'


SOUND = (
    block(),
    block(' PhysicalSizeX="0.25" PhysicalSizeXUnit="nm"'),
    block(' PhysicalSizeX="1e-05" PhysicalSizeXUnit="&#197;"'),
    block(channel='ID="Channel:0:0" Name="Alexa Fluor 647" Color="-16776961" Fluor="Cy5.5"'),
    block(channel='ID="Channel:0:0" Name="H&amp;E" ContrastMethod="Fluorescence"'),
)


@pytest.mark.parametrize("text", SOUND)
def test_what_may_stand(text):
    """Numbers in their shortest spelling, units, closed words, names of the list."""
    assert list(ome.objections(text)) == []


WRONG = (
    "",
    "<OME/>",
    "x",
    block()[:-1],
    block() + " ",
    block().replace("UTF-8", "utf-8"),
    block().replace("2016-06", "2015-01"),
    block(' PhysicalSizeX="0.250"'),
    block(' PhysicalSizeX="0.25000000000000000001"'),
    block(' PhysicalSizeX="007"'),
    block(' PhysicalSizeX="1,5"'),
    block(' PhysicalSizeX="nan"'),
    block(' PhysicalSizeXUnit="parsec"'),
    block(' SignificantBits="012"'),
    block(' Comment="1"'),
    block(channel='ID="Channel:0:0" Name="S12-34567"'),
    block(channel='ID="Channel:0:0" Name="Jane Doe"'),
    block(channel='ID="Channel:0:0" Name="DAPI Jane"'),
    block(channel='ID="Channel:0:0" ContrastMethod="JaneDoe"'),
    block(channel='ID="Channel:0:0:0:0:0"'),
    block(channel='ID="Channel:0:0" Name="&#68;API"'),
    block(channel="ID='Channel:0:0'"),
    block(inside="<Plane/>"),
    block(inside="<TiffData/>words"),
    block(inside="<Image/>"),
    block(image=' Name="x"'),
    block(inside="<!-- words -->"),
    block(inside="<?words?>"),
    block(inside="<![CDATA[]]>"),
    block().replace("<Image", "\n<Image"),
    block().replace("<Image", '<Image xmlns:x="urn:x"'),
    block().replace("?><OME", '?><!DOCTYPE OME [<!ENTITY x "y">]><OME'),
    block(inside='<TiffData IFD="0"/>' * 15_000),
)


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_may_not_stand(text):
    """Anything else, hidden in spelling, space, comments or names, is an objection."""
    assert list(ome.objections(text))


def test_an_objection_names_no_value():
    """It goes into findings, so it says which part and never what stood there."""
    said = " ".join(
        ome.objections(block(channel='ID="Channel:0:0" Name="DOE^JANE"', inside="<Doe/>", image=' Roe="1"'))
    )
    assert said
    assert not {"DOE", "Doe", "Roe"} & set(said.replace("^", " ").split())


@pytest.mark.parametrize("wrap", ["{}", "words {} more", "\0\0{}\0", "{} {}"])
def test_a_block_somewhere_else_is_words(wrap):
    """A block in an orphan spells the schema's words as the clean slide does: only its values are searched for."""
    told = block(channel='ID="Channel:0:0" Name="DAPI"', inside='<Note Author="ZQ-7781-DOE^JANE"/>')
    hunt = Hunt([Secret("file/orphan[0]", wrap.format(told, told).encode())], ome.said(block()) | {"DAPI"})
    hunt.search(block().encode(), "ifd[0]/270")
    assert hunt.summary().hits == 0
    hunt.search(b"... ZQ-7781-DOE^JANE ...", "ifd[0]/270")
    assert hunt.summary().hits > 0


def test_bombs_are_not_read():
    """Neither entities nor depth nor numbers make the verifier work for long."""
    laughs = f'<!DOCTYPE OME [<!ENTITY a "x">]>{block()[len(ome.DECLARATION) :]}'
    assert ome.read(laughs.encode()) is None
    assert ome.read((HEAD + "<Union>" * 200 + "</Union>" * 200 + "</OME>").encode()) is None
    assert ome.read((HEAD + "<M/>" * 150_000 + "</OME>").encode()) is None
    assert ome.read(b'<?xml version="1.0" encoding="UTF-0"?><OME/>') is None
