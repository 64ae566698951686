"""`python -m samples aperio OUT --size 40000x40000`: synthetic slides from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from coverslip.geometry import Size
from samples import aperio, generic, lookalikes, mirax, ome
from samples.description import TRAPS
from samples.identifiers import Planted

app = typer.Typer(no_args_is_help=True, help="Make synthetic slides with an identifier in every place one can hide.")

Out = Annotated[Path, typer.Argument(help="The slide to write, or a folder: then the file name is an identifier too.")]
Extent = Annotated[str, typer.Option("--size", help="WIDTHxHEIGHT in pixels.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same bytes.")]
Share = Annotated[float, typer.Option(help="Part of the area that is tissue.")]
Plant = Annotated[bool, typer.Option("--plant/--no-plant", help="Plant identifiers.")]
Omit = Annotated[list[str] | None, typer.Option(help="Plant nothing where the place contains this; repeatable.")]
Repeat = Annotated[bool, typer.Option("--repeated-blank", help="Make all blank tiles equal.")]


def _size(text: str) -> Size:
    width, _, height = text.partition("x")
    try:
        return Size(int(width), int(height))
    except ValueError as error:
        raise typer.BadParameter("a size reads WIDTHxHEIGHT") from error


def _report(planted: Planted) -> None:
    typer.echo(f"{planted.path}: {len(planted.identifiers)} identifiers, listed in {planted.sidecar.name}")


@app.command("aperio")
def make_aperio(
    out: Out,
    size: Extent = "4000x3000",
    codec: Annotated[str, typer.Option(help="jpeg, jpeg-ycbcr, j2k-ycbcr or j2k-rgb.")] = "jpeg",
    variant: Annotated[str, typer.Option(help="classic or gt450.")] = "classic",
    tile: int = 256,
    quality: int = 50,
    bigtiff: Annotated[bool | None, typer.Option("--bigtiff/--classic-tiff")] = None,
    downsamples: Annotated[str, typer.Option(help="Of the levels, each a multiple of the one before.")] = "1,4,16",
    tissue_share: Share = 0.5,
    repeated_blank: Repeat = False,
    plant: Plant = True,
    omit: Omit = None,
    no_trap: Annotated[list[str] | None, typer.Option(help=f"Leave out a trap: {', '.join(TRAPS)}.")] = None,
    seed: Seed = 0,
) -> None:
    """Write an Aperio SVS."""
    planted = aperio.write(
        out, _size(size), codec=codec, variant=cast("aperio.Variant", variant), tile=tile, quality=quality,
        bigtiff=bigtiff, downsamples=tuple(map(int, downsamples.split(","))), tissue_share=tissue_share,
        repeated_blank=repeated_blank, identifiers=plant, omit=omit or (),
        traps=tuple(trap for trap in TRAPS if trap not in (no_trap or ())), seed=seed,
    )  # fmt: skip
    _report(planted)


@app.command("generic")
def make_generic(
    out: Out,
    size: Extent = "4000x3000",
    codec: Annotated[str, typer.Option(help="jpeg, jpeg-ycbcr, deflate, lzw, none or j2k.")] = "jpeg-ycbcr",
    big_endian: bool = False,
    bigtiff: bool = False,
    subifds: Annotated[bool, typer.Option("--subifds", help="Levels as SubIFDs, not as a chain.")] = False,
    ome: Annotated[bool, typer.Option("--ome", help="OME-XML in ImageDescription.")] = False,
    predictor: int = 1,
    tile: int = 256,
    quality: int = 70,
    tissue_share: Share = 0.5,
    repeated_blank: Repeat = False,
    plant: Plant = True,
    omit: Omit = None,
    seed: Seed = 0,
) -> None:
    """Write a generic tiled pyramidal TIFF."""
    order: Literal["<", ">"] = ">" if big_endian else "<"
    planted = generic.write(
        out, _size(size), codec=codec, order=order, bigtiff=bigtiff, pyramid="subifds" if subifds else "chain", ome=ome,
        predictor=predictor, tile=tile, quality=quality, tissue_share=tissue_share, repeated_blank=repeated_blank,
        identifiers=plant, omit=omit or (), seed=seed,
    )  # fmt: skip
    _report(planted)


@app.command("ome")
def make_ome(
    out: Out,
    size: Extent = "2000x1500",
    z: int = 1,
    channels: int = 1,
    t: int = 1,
    rgb: Annotated[bool, typer.Option("--rgb", help="Red, green, blue of 8 bits instead of grey channels.")] = False,
    bits: Annotated[int, typer.Option(help="8 or 16.")] = 16,
    codec: Annotated[str, typer.Option(help="jpeg (8 bits), deflate, lzw, none or j2k.")] = "deflate",
    style: Annotated[str, typer.Option(help="How the block tells of the planes: one, each or bare.")] = "one",
    beside: Annotated[
        list[str] | None, typer.Option(help="A picture of the glass: label or macro; repeatable.")
    ] = None,
    bigtiff: bool = False,
    tile: int = 256,
    plant: Plant = True,
    omit: Omit = None,
    seed: Seed = 0,
) -> None:
    """Write an OME-TIFF of several planes."""
    planted = ome.write(
        out, _size(size), z=z, channels=channels, t=t, rgb=rgb, bits=bits, codec=codec, style=cast("ome.Style", style),
        beside=beside or (), bigtiff=bigtiff, tile=tile, identifiers=plant, omit=omit or (), seed=seed,
    )  # fmt: skip
    _report(planted)


@app.command("mirax")
def make_mirax(out: Out, columns: int = 8, rows: int = 6, plant: Plant = True, seed: Seed = 0) -> None:
    """Write a MIRAX slide: a .mrxs file and its folder."""
    _report(mirax.write(out, columns=columns, rows=rows, identifiers=plant, seed=seed))


@app.command("lookalike")
def make_lookalike(
    out: Out,
    name: Annotated[str, typer.Option(help=f"One of {', '.join(lookalikes.LOOKS)}.")],
    beside: Annotated[bool, typer.Option("--beside/--levels-only", help="Label, macro and thumbnail too.")] = True,
    seed: Seed = 0,
) -> None:
    """Write a slide of a scanner that writes nearly what Aperio writes."""
    if name not in lookalikes.LOOKS:
        raise typer.BadParameter(f"one of {', '.join(lookalikes.LOOKS)}")
    _report(lookalikes.write(out, name, beside=beside, seed=seed))


if __name__ == "__main__":
    app()
