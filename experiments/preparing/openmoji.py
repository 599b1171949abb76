"""OpenMoji's drawings: line art and the same in colour, rasterised, by groups."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.preparing.image_set import ImageSet, Picture, contents, folder_of, split_of
from experiments.preparing.packages import Package
from gan.data.transforms import to_array
from gan.errors import UserError

OPENMOJI = Package(
    name="openmoji",
    version="17.0.0",
    integrity="sha512-EBnYrNGdcdw+OSXmENeNE1yBNRu6tOraTmoOyUbJkTmvT/+XETp8RZLSJFzD3lrPc5N9CzsyPnRTk0"
    "Vp4UaI9w==",
    megabytes=4,
    licence="CC-BY-SA-4.0",
    credit="OpenMoji and its contributors",
)
RASTERISER = "resvg-py==0.5.0"


def pictures(archives: Sequence[Path], size: int) -> Iterator[Picture]:
    """Every drawing that has lines of its own, as lines (grey) and in colour, on white.

    Those that share their lines with another, such as flags and skin tones, are left out: nothing
    in the lines says which colours they have.
    """
    draw = rasteriser()

    def drawn(svg: bytes, channels: int) -> np.ndarray:
        png = draw(
            svg.decode(), width=size, height=size, background="#ffffff", skip_system_fonts=True
        )
        return to_array(Image.open(io.BytesIO(bytes(png))), channels)

    (archive,) = archives
    found = contents(archive, r"data/openmoji\.json|(black|color)/svg/[^/]+\.svg")
    drawings = json.loads(found["data/openmoji.json"])
    groups = {d["hexcode"]: d["group"] for d in drawings if not d["skintone"]}
    alike = Counter(found[f"black/svg/{code}.svg"] for code in groups)
    for code, group in groups.items():
        lines, colour = (found[f"{style}/svg/{code}.svg"] for style in ("black", "color"))
        if alike[lines] == 1:
            place = f"{split_of(code)}/{folder_of(group)}/{code}.png"
            yield f"A/{place}", drawn(lines, 1)
            yield f"B/{place}", drawn(colour, 3)


def rasteriser() -> Any:
    """The function that makes a PNG of an SVG.

    Raises:
        UserError: its package is not installed.
    """
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise UserError(
            f"--set=openmoji rasterises drawings with resvg-py: pip install {RASTERISER}"
        ) from error
    return svg_to_bytes


SET = ImageSet(
    (OPENMOJI,),
    pictures,
    sizes=(8, 1024),
    names={"lines": "A", "colour": "B"},
    check=rasteriser,
)
