"""OME-XML with an identifier in every attribute and text that can hold words, and the numbers a reader needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from coverslip.geometry import Size
from coverslip.slide import Plane
from samples.identifiers import Encoding, Kind, Planter

PLACE = "ifd[0]/ImageDescription/OME"
NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_SCHEMA = (
    f'xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    f'xsi:schemaLocation="{NAMESPACE} {NAMESPACE}/ome.xsd"'
)
WARNING = (
    "<!-- Warning: this comment is an OME-XML metadata block, which contains crucial dimensional parameters and other "
    "important metadata. Please edit cautiously (if at all), and back up the original data before doing so. For more "
    "information, see the OME-TIFF web site: https://docs.openmicroscopy.org/latest/ome-model/ome-tiff/. -->"
)
NAMES = ("DAPI", "FITC", "Cy3", "Alexa Fluor 647", "Opal 520")
EMISSIONS, EXCITATIONS = (461.0, 519.0, 570.0, 668.0, 525.0), (358.0, 495.0, 550.0, 650.0, 494.0)
COLOURS = (65535, 16711935, -16776961, -16711681, 16777215)
"""Blue, green, red, magenta, cyan: red, green, blue and alpha as one signed number."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the block says of the slide's own image."""

    size: Size
    planes: Sequence[Plane]
    """In the order of the file's pages."""
    first: int
    """Number of the page with the first of them."""
    order: str
    type: str
    samples: int
    mpp: float | None
    z_step: float | None
    style: str
    """`one` TiffData for all, `each` its own with UUID and file name, `bare`: one without any attribute."""
    little: bool


class Words:
    """Writes one block and plants as it goes."""

    def __init__(self, planter: Planter, file_name: str, number: int = 0) -> None:
        """`file_name` stands beside the UUID; `number` is that of the slide's own image."""
        self._planter = planter
        self._number = number
        self.uuid = f"urn:uuid:{self._value('UUID', Kind.NUMBER, 'c7cbbe2b-2250-44f7-887a-7ef3ee9d3535')}"
        self._file = file_name

    def _value(self, place: str, kind: Kind = Kind.STAFF, otherwise: str = "") -> str:
        whole = f"{PLACE}/{place}"
        return self._planter.text(whole, kind) if self._planter.wants(whole) else otherwise

    def _description(self, of: str, kind: Kind = Kind.STAFF) -> str:
        return f"<Description>{self._value(f'{of}/Description', kind)}</Description>"

    def _said(self, of: str, kind: Kind) -> str:
        return f"<Value>{self._value(of, kind)}</Value>"

    def _date(self, place: str) -> str:
        whole = f"{PLACE}/{place}"
        return self._planter.date(whole, "%Y-%m-%dT%H:%M:%S") if self._planter.wants(whole) else "2001-01-01T00:00:00"

    def _base64(self, place: str) -> str:
        whole = f"{PLACE}/{place}"
        planted = self._planter.wants(whole)
        return self._planter.blob(whole, Kind.NUMBER, Encoding.BASE64).decode() if planted else ""

    def _attributes(self, place: str, kinds: dict[str, Kind]) -> str:
        return "".join(f' {name}="{escape(self._value(f"{place}/{name}", kind))}"' for name, kind in kinds.items())

    def block(self, told: Told, beside: Sequence[str] = (), before: Sequence[str] = ()) -> bytes:
        """The whole block as it stands in ImageDescription."""
        creator = escape(self._value("Creator", Kind.DEVICE, "OME Bio-Formats 6.7.0"))
        head = f'<?xml version="1.0" encoding="UTF-8" standalone="no"?>{WARNING}'
        root = f'<OME {_SCHEMA} Creator="{creator}" UUID="{self.uuid}">'
        images = "".join((*before, self._image(told), *beside))
        tail = f"{self._annotations()}{self._regions()}" if self._planter.active else ""
        strange = self._strange() if self._planter.active else ""
        return f"{head}{root}{self._people()}{self._instrument()}{images}{tail}{strange}</OME>".encode()

    def _people(self) -> str:
        if not self._planter.active:
            return ""
        names = {"FirstName": Kind.STAFF, "MiddleName": Kind.STAFF, "LastName": Kind.STAFF, "Email": Kind.STAFF}
        more = {"Institution": Kind.PLACE, "UserName": Kind.STAFF}
        project = self._attributes("Project", {"Name": Kind.NUMBER})
        return (
            f"<Rights><RightsHolder>{self._value('RightsHolder')}</RightsHolder>"
            f"<RightsHeld>{self._value('RightsHeld')}</RightsHeld></Rights>"
            f'<Project ID="Project:0"{project}>{self._description("Project")}</Project>'
            f'<Dataset ID="Dataset:0"{self._attributes("Dataset", {"Name": Kind.NUMBER})}/>'
            f'<Experiment ID="Experiment:0">{self._description("Experiment")}</Experiment>'
            f'<Experimenter ID="urn:lsid:{self._value("Experimenter ID")}:Experimenter:0"'
            f"{self._attributes('Experimenter', names | more)}/>"
            f'<ExperimenterGroup ID="ExperimenterGroup:0"{self._attributes("Group", {"Name": Kind.PLACE})}/>'
        )

    def _instrument(self) -> str:
        made = {
            "Manufacturer": Kind.DEVICE,
            "Model": Kind.DEVICE,
            "SerialNumber": Kind.DEVICE,
            "LotNumber": Kind.DEVICE,
        }
        if not self._planter.active:
            made = {}
        return (
            f'<Instrument ID="Instrument:0"><Microscope{self._attributes("Microscope", made)}/>'
            f'<Laser ID="LightSource:0:0"{self._attributes("Laser", made)}/>'
            f'<Detector ID="Detector:0:0"{self._attributes("Detector", made)} Gain="1.5"/>'
            f'<Objective ID="Objective:0:0" NominalMagnification="20.0" LensNA="0.75" Immersion="Air"'
            f"{self._attributes('Objective', made)}/>"
            f'<Filter ID="Filter:0:0"{self._attributes("Filter", made)}/></Instrument>'
        )

    def _image(self, told: Told) -> str:
        number = self._number
        name = escape(self._value("Image/Name", Kind.PERSON, "slide"))
        about = ""
        if self._planter.active:
            stage = f'<StageLabel{self._attributes("StageLabel", {"Name": Kind.PLACE})} X="1.5" Y="2.5"/>'
            about = (
                f"<AcquisitionDate>{self._date('AcquisitionDate')}</AcquisitionDate>"
                f"{self._description('Image', Kind.PERSON)}"
                '<InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0:0" RefractiveIndex="1.0"/>'
                f'<ImagingEnvironment Temperature="23.5"/>{stage}'
            )
        return f'<Image ID="Image:{number}" Name="{name}">{about}{self._pixels(told)}</Image>'

    def _pixels(self, told: Told) -> str:
        counts = {axis: 1 + max(getattr(p, field) for p in told.planes) for axis, field in _AXES.items()}
        sizes = {"X": told.size.width, "Y": told.size.height, **counts, "C": counts["C"] * told.samples}
        written = "".join(f' Size{axis}="{sizes[axis]}"' for axis in "XYZCT")
        physical = "".join(f' PhysicalSize{axis}="{told.mpp}" PhysicalSize{axis}Unit="µm"' for axis in "XY" if told.mpp)
        physical += f' PhysicalSizeZ="{told.z_step * 1000}" PhysicalSizeZUnit="nm"' if told.z_step else ""
        bits = ' SignificantBits="12"' if told.type == "uint16" else ""
        return (
            f'<Pixels ID="Pixels:{self._number}" DimensionOrder="{told.order}" Type="{told.type}"{bits}'
            f' BigEndian="{str(not told.little).lower()}" Interleaved="{str(told.samples > 1).lower()}"'
            f"{written}{physical}>"
            f"{''.join(self._channel(told, number) for number in range(counts['C']))}{self._data(told)}"
            f"{self._plane_notes(told)}</Pixels>"
        )

    def _channel(self, told: Told, number: int) -> str:
        head = f'<Channel ID="Channel:{self._number}:{number}" SamplesPerPixel="{told.samples}"'
        if told.samples > 1:
            named = f' Name="{escape(self._value("Channel Name", Kind.TEXT))}"' if self._planter.active else ""
            return f"{head}{named}><LightPath/></Channel>"
        at = number % len(NAMES)
        odd = self._planter.active and number == 1
        name = self._value("Channel Name", Kind.PERSON) if odd else NAMES[at]
        fluor = f' Fluor="{escape(self._value("Channel Fluor", Kind.TEXT))}"' if odd else ""
        return (
            f'{head} Name="{escape(name)}"{fluor} Color="{COLOURS[at]}" EmissionWavelength="{EMISSIONS[at]}"'
            f' EmissionWavelengthUnit="nm" ExcitationWavelength="{EXCITATIONS[at]}" ContrastMethod="Fluorescence">'
            '<DetectorSettings ID="Detector:0:0" Gain="1.5"/></Channel>'
        )

    def _data(self, told: Told) -> str:
        if told.style == "bare":
            return "<TiffData/>"
        if told.style == "one":
            return f'<TiffData IFD="{told.first}" PlaneCount="{len(told.planes)}"/>'
        return "".join(self._one(plane, told.first + at) for at, plane in enumerate(told.planes))

    def _one(self, plane: Plane, ifd: int) -> str:
        place = f'FirstC="{plane.channel}" FirstT="{plane.t}" FirstZ="{plane.z}" IFD="{ifd}" PlaneCount="1"'
        return f'<TiffData {place}><UUID FileName="{escape(self._file)}">{self.uuid}</UUID></TiffData>'

    def _plane_notes(self, told: Told) -> str:
        if not self._planter.active:
            return ""
        return "".join(
            f'<Plane TheZ="{plane.z}" TheC="{plane.channel}" TheT="{plane.t}" DeltaT="{at * 0.123456:.6f}" '
            f'ExposureTime="0.025" PositionX="{1234.5678 + at:.4f}" PositionY="-8765.4321"/>'
            for at, plane in enumerate(told.planes)
        )

    def _annotations(self) -> str:
        original = "".join(
            f'<XMLAnnotation ID="Annotation:{number}" Namespace="openmicroscopy.org/OriginalMetadata"><Value>'
            f'<OriginalMetadata xmlns=""><Key>{key}</Key><Value>{self._value(f"OriginalMetadata/{key}", kind)}</Value>'
            "</OriginalMetadata></Value></XMLAnnotation>"
            for number, (key, kind) in enumerate(_ORIGINAL.items())
        )
        return (
            f"<StructuredAnnotations>{original}"
            f'<CommentAnnotation ID="Annotation:90" Namespace="{self._value("Annotation Namespace")}">'
            f"{self._description('Annotation')}"
            f"{self._said('CommentAnnotation', Kind.PERSON)}</CommentAnnotation>"
            f'<TagAnnotation ID="Annotation:91">{self._said("TagAnnotation", Kind.TEXT)}</TagAnnotation>'
            f'<MapAnnotation ID="Annotation:92"><Value><M K="{self._value("Map key", Kind.TEXT)}">'
            f"{self._value('Map value', Kind.NUMBER)}</M></Value></MapAnnotation>"
            f'<FileAnnotation ID="Annotation:93"><BinaryFile FileName="{self._value("BinaryFile", Kind.FILE_NAME)}"'
            f' Size="1"><External href="file:///{self._value("External", Kind.FILE_NAME)}" SHA1=""/></BinaryFile>'
            '</FileAnnotation><LongAnnotation ID="Annotation:94"><Value>19760812</Value></LongAnnotation>'
            f'<XMLAnnotation ID="Annotation:95"><Value><![CDATA[{self._value("CDATA", Kind.PERSON)}]]></Value>'
            f'</XMLAnnotation><XMLAnnotation ID="Annotation:96"><Value>{self._base64("Barcode")}</Value>'
            "</XMLAnnotation>"
            "</StructuredAnnotations>"
        )

    def _regions(self) -> str:
        strange = self._value("element name", Kind.PERSON).split(" ")[0]
        return (
            f'<ROI ID="ROI:0" Name="{self._value("ROI/Name", Kind.TEXT)}"><Union><Label ID="Shape:0:0" X="1" Y="2"'
            f' Text="{self._value("ROI/Text", Kind.PERSON)}"/></Union></ROI>'
            f'<{strange} xmlns="urn:x" {self._value("attribute name", Kind.PERSON).split(" ")[0]}="1"/>'
            f'<x:note xmlns:x="urn:{self._value("namespace", Kind.PLACE)}" x:SizeZ="{self._value("foreign SizeZ")}"/>'
        )

    def _strange(self) -> str:
        return f"<!-- {self._value('comment', Kind.PERSON)} --><?note {self._value('instruction', Kind.PERSON)}?>"


def beside(number: int, ifd: int, size: Size, name: str, uuid: str) -> str:
    """One more image: a picture of the glass, RGB, without a resolution."""
    return (
        f'<Image ID="Image:{number}" Name="{escape(name)}"><Pixels ID="Pixels:{number}" DimensionOrder="XYCZT" '
        f'Type="uint8" SizeX="{size.width}" SizeY="{size.height}" SizeZ="1" SizeC="3" SizeT="1" Interleaved="true">'
        f'<Channel ID="Channel:{number}:0" SamplesPerPixel="3"/><TiffData IFD="{ifd}" PlaneCount="1">'
        f"<UUID>{uuid}</UUID></TiffData></Pixels></Image>"
    )


_AXES = {"Z": "z", "C": "channel", "T": "t"}
_ORIGINAL = {
    "Series 0 Filename": Kind.FILE_NAME, "Series 0 Barcode": Kind.NUMBER, "Series 0 User": Kind.STAFF,
    "Series 0 ScanScope ID": Kind.DEVICE, "Patient": Kind.PERSON, "Accession": Kind.NUMBER,
}  # fmt: skip
