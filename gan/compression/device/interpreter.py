"""LiteRT's interpreter: loading a file, and the ops of what was loaded.

ai-edge-litert 2.3 lists the ops of a loaded file, those of delegates too, under a private name
only. It is read here and in no other file;
tests/gan/compression/device/test_interpreter.py holds LiteRT to it.
"""

import os
from dataclasses import dataclass

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from gan.errors import UserError
from gan.quiet import quiet


@dataclass(frozen=True)
class Op:
    """A node of the loaded graph: its name and the tensors it reads and writes.

    Attributes:
        name: as LiteRT calls it, such as CONV_2D or DELEGATE.
        inputs: numbers of tensors; -1 for one that is left out.
        outputs: numbers of tensors.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def open_interpreter(
    file: str | os.PathLike[str] | bytes,
    num_threads: int = 1,
    *,
    accelerated: bool = True,
    keep_tensors: bool = False,
) -> Interpreter:
    """Loads a file, tensors allocated.

    Args:
        file: path of a `.tflite` file, or its content.
        num_threads: of the CPU.
        accelerated: with XNNPACK, as devices run it; without, every op and tensor can be read.
        keep_tensors: keep the values between ops, to be read after a call.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: LiteRT cannot load it; the line holds LiteRT's reason.
    """
    content = file if isinstance(file, bytes) else None
    path = None if isinstance(file, bytes) else os.fspath(file)
    if path is not None and not os.path.isfile(path):
        raise FileNotFoundError(f"{path!r}: no such file; expected an exported .tflite generator.")
    resolver = OpResolverType.AUTO
    if not accelerated:
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with quiet():  # LiteRT tells of each delegate that it makes.
            interpreter = Interpreter(
                model_path=path,
                model_content=content,
                num_threads=num_threads,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=keep_tensors,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason, which = " ".join(str(error).split()), "the file" if path is None else repr(path)
        raise UserError(
            f"{which}: LiteRT cannot load it ({reason}); export it again with scripts.compress."
        ) from error
    return interpreter


def ops(interpreter: Interpreter) -> list[Op]:
    """The loaded graph's ops: the file's in its order, then one DELEGATE per delegated group.

    The ops that a delegate runs stay in the list.
    """
    return [
        Op(op["op_name"], tuple(map(int, op["inputs"])), tuple(map(int, op["outputs"])))
        for op in interpreter._get_ops_details()
    ]
