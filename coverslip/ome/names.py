"""Names of the OME schema. They may be printed; any other name in a block is somebody's own words.

Source: `ome.xsd` of 2016-06, and the words its forerunners back to 2007 had beside them.
"""

from __future__ import annotations

from typing import Final

_ELEMENTS: Final = """
    AcquisitionDate AnnotationRef Arc BinData BinaryFile BinaryOnly BlueChannel BooleanAnnotation Channel
    ChannelComponent ChannelRef CommentAnnotation Contact CustomAttributes Dataset DatasetRef Description
    Detector DetectorSettings Dichroic DichroicRef DisplayOptions DoubleAnnotation Ellipse EmissionFilterRef
    ExcitationFilterRef Experiment ExperimentRef Experimenter ExperimenterGroup ExperimenterGroupRef
    ExperimenterRef External Filament FileAnnotation Filter FilterSet FilterSetRef FilterSetSpec Folder
    FolderRef GenericExcitationSource GreenChannel GreyChannel Group HashSHA1 Image ImageRef ImagingEnvironment
    Instrument InstrumentRef Key Label Laser Leader LightEmittingDiode LightPath LightSource LightSourceGroup
    LightSourceSettings Line ListAnnotation LogicalChannel LongAnnotation M Map MapAnnotation Mask MetadataOnly
    MicrobeamManipulation MicrobeamManipulationRef Microscope OME OTF Objective ObjectiveSettings
    OriginalMetadata Pixels Plane Plate PlateAcquisition PlateRef Point Polygon Polyline Project ProjectRef Pump
    ROI ROIRef Reagent ReagentRef Rectangle RedChannel Region Rights RightsHeld RightsHolder Screen Shape
    ShapeGroup StageLabel StructuredAnnotations TagAnnotation TermAnnotation Text TiffData TimestampAnnotation
    Transform TransmittanceRange UUID Union Value Well WellSample WellSampleRef XMLAnnotation
"""

_ATTRIBUTES: Final = """
    A00 A01 A02 A10 A11 A12 AcquisitionMode AirPressure AirPressureUnit AmplificationGain Annotator Attenuation
    BigEndian Binning CO2Percent CalibratedMagnification Color Column ColumnNamingConvention Columns Compression
    ContrastMethod Correction CorrectionCollar Creator CutIn CutInTolerance CutInToleranceUnit CutInUnit CutOut
    CutOutTolerance CutOutToleranceUnit CutOutUnit DeltaT DeltaTUnit DimensionOrder DisplayName Email
    EmissionWavelength EmissionWavelengthUnit EndTime ExcitationWavelength ExcitationWavelengthUnit ExposureTime
    ExposureTimeUnit ExternalDescription ExternalIdentifier FieldIndex FileName Fill FillColor FillRule
    FilterWheel FirstC FirstName FirstT FirstZ Fluor FontFamily FontSize FontSizeUnit FontStyle
    FrequencyMultiplication Gain Height Humidity ID IFD IlluminationType Immersion Index Institution Integration
    Interleaved Iris K LaserMedium LastName Length LensNA Locked LotNumber MIMEType Manufacturer MarkerEnd
    MarkerStart MaximumFieldCount Medium MetadataFile MiddleName Model NA NDFilter Name Namespace
    NominalMagnification NumPlanes OMEName Offset PhysicalSizeX PhysicalSizeXUnit PhysicalSizeY
    PhysicalSizeYUnit PhysicalSizeZ PhysicalSizeZUnit PinholeSize PinholeSizeUnit PixelType PlaneCount
    PockelCell PockelCellSetting Points PositionX PositionXUnit PositionY PositionYUnit PositionZ PositionZUnit
    Power PowerUnit ProtocolDescription ProtocolIdentifier Pulse RadiusX RadiusY ReadOutRate ReadOutRateUnit
    ReagentIdentifier ReagentSetDescription ReagentSetIdentifier RefractiveIndex RepetitionRate
    RepetitionRateUnit Row RowNamingConvention Rows SHA1 SamplesPerPixel SerialNumber SignificantBits Size SizeC
    SizeT SizeX SizeXUnit SizeY SizeZ StartTime Status Stroke StrokeColor StrokeDashArray StrokeWidth
    StrokeWidthUnit Temperature TemperatureUnit Text TheC TheT TheZ TimeIncrement TimeIncrementUnit Timepoint
    Transmittance Tuneable Type UUID UserName Voltage VoltageUnit Wavelength WavelengthUnit WellOriginX
    WellOriginXUnit WellOriginY WellOriginYUnit Width WorkingDistance WorkingDistanceUnit X X1 X2 XUnit Y Y1 Y2
    YUnit Z ZUnit Zoom href schemaLocation
"""

ELEMENTS: Final = frozenset(_ELEMENTS.split())
ATTRIBUTES: Final = frozenset(_ATTRIBUTES.split())
