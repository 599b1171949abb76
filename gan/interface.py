"""What goes into a generator and what comes out: declared where it is built, kept in its file.

An architecture declares it, `declare(model, Interface(inputs, output))`, and everybody else asks:
evaluation, pictures, calibration, export, the page in the browser. A model that declares nothing is
understood by the names of its inputs, here and nowhere else: z, a latent vector; label, a class;
x, an image.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gan import interface_parts as parts
from gan.errors import UserError
from gan.interface_parts import Image, Input, Label, Latent, Scalar, Vector

if TYPE_CHECKING:  # The process that tries files out needs neither.
    import keras

    from gan.data.spec import Spec


@dataclass(frozen=True)
class Interface:
    """What a generator takes, in the order of its arguments, and what it makes.

    Attributes:
        inputs: at least one.
        output: what comes out.
        about: where it comes from: the data with its licence, the run; ready for JSON.
    """

    inputs: tuple[Input, ...]
    output: Image | Vector
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def latent(self) -> Latent | None:
        """The latent vector that it draws from, if any."""
        return next((i for i in self.inputs if isinstance(i, Latent)), None)

    @property
    def label(self) -> Label | None:
        """The class that it is asked for, if any."""
        return next((i for i in self.inputs if isinstance(i, Label)), None)

    @property
    def image(self) -> Image | None:
        """The image that it translates, if any."""
        return next((i for i in self.inputs if isinstance(i, Image)), None)

    @property
    def names(self) -> list[str]:
        """The inputs' names."""
        return [i.name for i in self.inputs]

    def arguments(self, values: Sequence[Any], what: str) -> dict[str, np.ndarray]:
        """Arguments of a call, as arrays of the right type, by name.

        Args:
            values: in the order of the inputs; None or nothing for what has none. An option that
                is left out has its default.
            what: whose call, for messages.

        Raises:
            UserError: too many or too few, of another shape, or labels out of range.
        """
        given = [value for value in values if value is not None]
        wanted = [i for i in self.inputs if not isinstance(i, Scalar)]
        if not len(wanted) <= len(given) <= len(self.inputs):
            raise UserError(f"{what} takes {' and '.join(self.names)}; got {len(given)} of them.")
        arrays: dict[str, np.ndarray] = {}
        for i, value in zip(self.inputs, given):
            array = np.asarray(value, np.int32 if isinstance(i, Label) else np.float32)
            count = len(next(iter(arrays.values()), array)) if array.ndim else "N"
            if array.ndim != 1 + len(i.shape) or array.shape != (count, *i.shape):
                expected = ", ".join(map(str, (count if arrays else "N", *i.shape)))
                comma = "," if not i.shape else ""
                raise UserError(f"{what}: {i.name} is {array.shape}; expected ({expected}{comma}).")
            if isinstance(i, Label) and len(array):
                low, high = array.min(), array.max()
                if low < 0 or high >= i.num_classes:
                    raise UserError(
                        f"{what}: label is from {low} to {high}; expected 0 to {i.num_classes - 1}."
                    )
            arrays[i.name] = array
        for option in self.inputs[len(given) :]:
            assert isinstance(option, Scalar)
            count = len(next(iter(arrays.values())))
            arrays[option.name] = np.full(count, option.default, np.float32)
        return arrays

    def record(self) -> dict[str, Any]:
        """The interface as a dict ready for JSON."""
        return {
            "inputs": [parts.record(i) for i in self.inputs],
            "output": parts.record(self.output),
            "about": dict(self.about),
        }

    @staticmethod
    def from_record(record: Any) -> "Interface":
        """The interface from what `record` returned.

        Raises:
            ValueError: the record is not one.
        """
        try:
            inputs = tuple(parts.read(i, (Latent, Label, Image, Scalar)) for i in record["inputs"])
            output = parts.read(record["output"], (Image, Vector))
            about = dict(record.get("about") or {})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None
        if not inputs or len({i.name for i in inputs}) < len(inputs):
            raise ValueError("no inputs, or two of one name")
        return Interface(inputs, output, about)


def declare(model: "keras.Model", interface: Interface) -> "keras.Model":
    """Says what a model's inputs and output are; returns the model.

    Raises:
        ValueError: the model's inputs or output are not these.
    """
    names, shapes = [x.name for x in model.inputs], [tuple(x.shape[1:]) for x in model.inputs]
    if names != interface.names or any(
        not _agree(shape, i.shape) for shape, i in zip(shapes, interface.inputs)
    ):
        wanted = ", ".join(f"{i.name} {i.shape}" for i in interface.inputs)
        got = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes))
        raise ValueError(f"{model.name} takes {got}, and is declared to take {wanted}")
    made = tuple(model.outputs[0].shape[1:])
    if not _agree(made, interface.output.shape):
        raise ValueError(
            f"{model.name} makes {made}, and is declared to make {interface.output.shape}"
        )
    model.interface = interface
    return model


def declared(model: "keras.Model") -> Interface | None:
    """What a model declares, or None."""
    return getattr(model, "interface", None)


def interface_of(model: "keras.Model") -> Interface:
    """What a model declares, or what the names of its inputs say.

    Raises:
        UserError: neither says it.
    """
    return declared(model) or infer(model)


def infer(model: "keras.Model", spec: "Spec | None" = None) -> Interface:
    """The interface of a model that declares none, by the names of its inputs.

    Args:
        model: any.
        spec: of the data it is made for, if that is known.

    Raises:
        UserError: inputs of other names, or a label whose number of classes is unknown.
    """
    inputs = {x.name: (tuple(x.shape[1:]), x.dtype) for x in model.inputs}
    return from_shapes(inputs, tuple(model.outputs[0].shape[1:]), spec, f"{model.name!r}")


def from_shapes(
    inputs: Mapping[str, tuple[tuple[int, ...], Any]],
    output: tuple[int, ...],
    spec: "Spec | None",
    what: str,
) -> Interface:
    """As `infer`, from the shapes (without batch) of the inputs by name, and that of the output."""
    described: list[Input] = []
    for name, (shape, _) in inputs.items():
        if name == "z" and len(shape) == 1:
            described.append(Latent(shape[0]))
        elif name == "label" and shape == () and spec is not None and spec.num_classes:
            described.append(Label(spec.num_classes, spec.class_names))
        elif name == "x" and len(shape) == 3:
            described.append(Image(shape, spec.domains[0] if spec else "x"))
        else:
            raise UserError(
                f"{what} has the input {name!r} of shape {shape} and does not say what it is: name "
                "it z (a vector), label (with data that have labels) or x (an image), or have its "
                "architecture declare it: gan.interface.declare."
            )
    if not described:
        raise UserError(f"{what} has no inputs; expected z, z and label, or x.")
    return Interface(tuple(described), made(output, spec))


def made(shape: tuple[int, ...], spec: "Spec | None") -> Image | Vector:
    """An output of this shape: an image or a vector, in the last of the data's domains."""
    domain = spec.domains[-1] if spec else "x"
    return Image(shape, domain) if len(shape) == 3 else Vector(shape, domain)


def carry(source: "keras.Model", target: "keras.Model") -> "keras.Model":
    """Gives a copy what its original declares, if it does; returns the copy."""
    interface = declared(source)
    return target if interface is None else declare(target, interface)


def with_about(interface: Interface, about: Mapping[str, Any]) -> Interface:
    """The interface with these entries added to its `about`."""
    return dataclasses.replace(interface, about={**interface.about, **about})


def _agree(a: Sequence[int | None], b: Sequence[int]) -> bool:
    """Whether two shapes agree; an unknown side agrees with any."""
    return len(a) == len(b) and all(x in (None, y) for x, y in zip(a, b))
