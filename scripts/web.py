"""Serves a generator's page on this machine: python -m scripts.web --model=FILE.tflite

The page (demo/web) draws the file's samples in the browser, with LiteRT.js; Ctrl-C ends it.

    --host=0.0.0.0    for a phone in the same network, at this machine's address
    --export=DIR      the page as a folder, for any web server
"""

from experiments import page
from experiments.serving import make_server
from experiments.settings import WebOptions
from gan.errors import UserError, printable
from scripts import cli


def main(options: WebOptions) -> int:
    """Serves until Ctrl-C, or writes the folder."""
    if not options.model:
        raise UserError("--model is missing; give an exported generator, --model=FILE.tflite.")
    if not 0 <= options.port < 2**16:
        raise UserError(f"--port={options.port}: expected 0 to 65535.")
    try:
        if options.export:
            page.export(options.model, options.export)
            print(f"{printable(str(options.export))}: the page; serve it by any web server.")
            return 0
        server = make_server(options.model, options.port, options.host)
    except FileNotFoundError as error:
        raise UserError(str(error)) from error
    with server:
        try:
            address = f"http://{options.host}:{server.server_address[1]}"
            print(f"{printable(str(options.model))} at {address}  (Ctrl-C ends)", flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    cli.run_with(main, WebOptions)
