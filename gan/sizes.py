"""The size of an image as an option: 64 for a square, 32x64 for 32 pixels high and 64 wide."""

import re


class Size(str):
    """Height and width of an image that is no square, as text such as "32x64".

    A square's size is an int. Being text, it is written into flags and JSON as it is.
    """

    @classmethod
    def read(cls, text: str) -> "Size | int":
        """The size that a text HEIGHTxWIDTH stands for; of a square an int.

        Raises:
            ValueError: it stands for none.
        """
        if not re.fullmatch(r"[0-9]{1,9}x[0-9]{1,9}", text):
            raise ValueError(text)
        return cls.of(*map(int, text.split("x")))

    @classmethod
    def of(cls, height: int, width: int) -> "Size | int":
        """The size of an image of that height and width."""
        return height if height == width else cls(f"{height}x{width}")


def sides(size: int | str) -> tuple[int, int]:
    """(height, width) of a size.

    Raises:
        ValueError: it is none.
    """
    if isinstance(size, int):
        return size, size
    height, width = map(int, size.split("x"))
    return height, width
