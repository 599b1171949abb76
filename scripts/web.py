"""Serves a generator's page on this machine: python -m scripts.web --model=FILE.tflite

The page (demo/web) draws the file's samples in the browser, with LiteRT.js; Ctrl-C ends it.
"""

from experiments.serving import HOST, make_server
from experiments.settings import WebOptions
from gan.errors import UserError, printable
from scripts import cli


def main(options: WebOptions) -> int:
    """Serves until Ctrl-C."""
    if not options.model:
        raise UserError("--model is missing; give an exported generator, --model=FILE.tflite.")
    if not 0 <= options.port < 2**16:
        raise UserError(f"--port={options.port}: expected 0 to 65535.")
    try:
        server = make_server(options.model, options.port)
    except FileNotFoundError as error:
        raise UserError(str(error)) from error
    with server:
        try:
            address = f"http://{HOST}:{server.server_address[1]}"
            print(f"{printable(str(options.model))} at {address}  (Ctrl-C ends)", flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    cli.run_with(main, WebOptions)
