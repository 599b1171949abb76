"""3,786 emoji in two drawn styles, 64x64, Google's and Twitter's, by categories."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.preparing.image_set import ImageSet, Picture, contents, folder_of, split_of
from experiments.preparing.packages import Package
from gan.data.transforms import to_array

GOOGLE = Package(
    name="emoji-datasource-google",
    version="16.0.0",
    integrity="sha512-ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8"
    "DlPhfQ3A==",
    megabytes=74,
    licence="Apache-2.0",
    credit="Noto Emoji, Google",
)
TWITTER = Package(
    name="emoji-datasource-twitter",
    version="16.0.0",
    integrity="sha512-7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBb"
    "uL2eyELQ==",
    megabytes=62,
    licence="CC-BY-4.0",
    credit="Twemoji, Twitter and other contributors",
)
# Style of a package's folder -> domain.
_STYLES = {"google": "A", "twitter": "B"}
_SKIN_TONE = re.compile(r"-1f3f[b-f]")


def pictures(archives: Sequence[Path], size: int) -> Iterator[Picture]:
    """All emoji of both styles, on white; an emoji's skin tones are in one split and category."""
    del size  # There is one.
    for archive, (style, domain) in zip(archives, _STYLES.items(), strict=True):
        images, category = read(archive, style)
        for name, image in images.items():
            place = f"{split_of(without_tones(name))}/{folder_of(category[name])}"
            yield f"{domain}/{place}/{name}", image


def read(archive: Path, style: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """File name -> image on white, and file name -> category, such as "Food & Drink"."""
    folder = f"img/{style}/64/"
    found = contents(archive, rf"emoji\.json|{folder}[^/]+\.png")
    category = {
        image["image"]: emoji["category"]
        for emoji in json.loads(found.pop("emoji.json"))
        for image in (emoji, *emoji.get("skin_variations", {}).values())
    }
    images = {
        name.removeprefix(folder): to_array(Image.open(io.BytesIO(png)), 3)
        for name, png in found.items()
    }
    return images, category


def without_tones(name: str) -> str:
    """A file's name without the skin tones in it: 1f44b-1f3fb.png is 1f44b.png."""
    return _SKIN_TONE.sub("", name)


SET = ImageSet((GOOGLE, TWITTER), pictures, sizes=(64, 64), names=_STYLES)
