"""Which layers an int8 file loses most in."""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from gan.compression.device.interpreter import open_interpreter, ops
from gan.compression.files import export
from gan.compression.files.balancing import balanced
from gan.compression.files.calibration import Representative, representative
from gan.compression.files.flatbuffer import SIGNATURE
from gan.compression.files.layer_names import keras_layer
from gan.compression.files.passes import TANH_RANGE

# No noise at all, in dB: beyond what float32 resolves.
_EXACT = 140.0


@dataclass(frozen=True)
class LayerLoss:
    """What int8 does to one layer.

    Attributes:
        layer: its Keras name, as `keep_float` takes it.
        op: the LiteRT op that ends it.
        snr_db: signal to noise of its output against the float32 file, with all that was lost
            before it.
        lost_db: how much lower that is than at its worst input: the layer's share.
    """

    layer: str
    op: str
    snr_db: float
    lost_db: float


def layer_losses(
    generator: keras.Model,
    *,
    data: Representative | None = None,
    count: int = 32,
    keep_float: Sequence[str] = (),
    calibration: int = 200,
    seed: int = 1,
) -> list[LayerLoss]:
    """Runs the float32 and the int8 file on the same inputs and compares every layer.

    The noise of a channel is set against that channel's signal: next to one loud channel a
    quiet one may be lost whole, which their sum would not show.

    Args:
        generator: what is exported.
        data: inputs, for calibration too; None draws z (and labels).
        count: how many of its batches are compared.
        keep_float: layers that stay float32 in the int8 file.
        calibration: batches of z, if `data` is None.
        seed: of the calibration's z.

    Returns:
        Largest `lost_db` first.

    Raises:
        UserError: see `export.to_tflite`.
    """
    if data is None:
        data = representative(generator, count=calibration, seed=seed)
    rows = [row for row, _ in zip(data(), range(count))]
    batch_size = len(next(iter(rows[0].values())))
    generator = balanced(export.as_float32(generator), data)  # as the int8 file is
    exact = export.to_tflite(generator, batch_size=batch_size)
    int8 = export.to_tflite(
        generator, precision="int8", data=data, keep_float=keep_float, batch_size=batch_size
    )
    return compare(exact, int8, rows)


def compare(
    exact: bytes, quantized: bytes, rows: Sequence[dict[str, np.ndarray]]
) -> list[LayerLoss]:
    """As `layer_losses`, for two files of one network and inputs by name."""
    reference, candidate = _Watched(exact), _Watched(quantized)
    pairs = {
        name: (reference.tensors[name], tensor)
        for name, tensor in candidate.tensors.items()
        if reference.shape(name) == candidate.shape(name)
    }
    noise = {name: _Noise() for name in pairs}
    for row in rows:
        reference.run(row)
        candidate.run(row)
        for name, (a, b) in pairs.items():
            noise[name].add(*(_seen(file, t) for file, t in ((reference, a), (candidate, b))))
    snr = {name: channels.snr_db() for name, channels in noise.items()}
    losses = []
    for layer in candidate.layers:
        if layer in snr:
            before = [snr[name] for name in candidate.before(layer, snr)] or [_EXACT]
            lost = min(before) - snr[layer]
            losses.append(LayerLoss(layer, candidate.layers[layer], snr[layer], lost))
    return sorted(losses, key=lambda loss: -loss.lost_db)


def table(losses: Sequence[LayerLoss]) -> str:
    """The losses as lines for a terminal."""
    rows = [("layer", "op", "SNR", "lost here")]
    rows += [(x.layer, x.op, f"{x.snr_db:.1f} dB", f"{x.lost_db:.1f} dB") for x in losses]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        f"{a.ljust(widths[0])}  {b.ljust(widths[1])}  {c.rjust(widths[2])}  {d.rjust(widths[3])}"
        for a, b, c, d in rows
    )


def _seen(file: "_Watched", tensor: int) -> np.ndarray:
    """A tensor's values; what enters a tanh is clipped to the range that changes its output."""
    value = file.value(tensor)
    return np.clip(value, -TANH_RANGE, TANH_RANGE) if tensor in file.into_tanh else value


class _Noise:
    """Power of a signal and of the error in it, by channel."""

    def __init__(self) -> None:
        self.signal: np.ndarray | float = 0.0
        self.noise: np.ndarray | float = 0.0

    def add(self, exact: np.ndarray, value: np.ndarray) -> None:
        exact = exact.astype(np.float64).reshape(-1, exact.shape[-1])
        self.signal = self.signal + np.sum(exact**2, axis=0)
        self.noise = self.noise + np.sum((value.reshape(exact.shape) - exact) ** 2, axis=0)

    def snr_db(self) -> float:
        """Signal to noise: of the mean share of noise over channels that are not silent; >= 0."""
        signal, noise = np.atleast_1d(self.signal), np.atleast_1d(self.noise)
        shares = np.minimum(noise[signal > 0] / signal[signal > 0], 1.0)
        share = float(np.mean(shares)) if len(shares) else 0.0
        return min(-10 * math.log10(share), _EXACT) if share > 0 else _EXACT


class _Watched:
    """A file whose every tensor can be read after a call.

    Attributes:
        layers: Keras layer -> its last op's name, in the file's order.
        tensors: Keras layer -> its last tensor; input's name -> the last tensor that only
            quantizes it.
        into_tanh: the tensors that a tanh reads.
    """

    def __init__(self, content: bytes) -> None:
        # Without delegates: what XNNPACK works out in between cannot be read.
        self._interpreter = open_interpreter(content, accelerated=False, keep_tensors=True)
        self._details = {t["index"]: t for t in self._interpreter.get_tensor_details()}
        signature = self._interpreter.get_signature_runner(SIGNATURE).get_input_details()
        self._inputs = {name: int(t["index"]) for name, t in signature.items()}
        self.layers: dict[str, str] = {}
        self.tensors: dict[str, int] = dict(self._inputs)
        self._made_by: dict[int, str] = {t: name for name, t in self._inputs.items()}
        self.into_tanh: set[int] = set()
        self._reads: dict[int, list[int]] = {}
        for op in ops(self._interpreter):
            output = op.outputs[0]
            reads = [t for t in op.inputs if t in self._made_by]
            self._reads[output] = reads
            layer = keras_layer(self._details[output]["name"])
            if op.name in ("QUANTIZE", "DEQUANTIZE") and reads:
                layer = self._made_by[reads[0]]
            elif layer and op.name != "RESHAPE":  # it loses nothing
                self.layers[layer] = op.name
            if reads:
                self._made_by[output] = layer
                if layer in self.layers or layer in self._inputs:
                    self.tensors[layer] = output
            if op.name == "TANH":
                self.into_tanh.update(reads)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a layer's or input's tensor; () if there is none."""
        return tuple(self._details[self.tensors[name]]["shape"]) if name in self.tensors else ()

    def before(self, layer: str, known: Container[str]) -> set[str]:
        """The known layers and inputs that a layer reads from."""
        names: set[str] = set()
        front = [self.tensors[layer]]
        while front:
            tensor = front.pop()
            name = self._made_by.get(tensor, "")
            if name != layer and name in known:
                names.add(name)
            else:
                front.extend(self._reads.get(tensor, ()))
        return names

    def run(self, row: Mapping[str, np.ndarray]) -> None:
        """Runs the file once on these inputs."""
        for name, tensor in self._inputs.items():
            self._interpreter.set_tensor(tensor, row[name])
        self._interpreter.invoke()

    def value(self, tensor: int) -> np.ndarray:
        """A tensor's values after a call, as float64."""
        value = self._interpreter.get_tensor(tensor).astype(np.float64)
        quantization = self._details[tensor]["quantization_parameters"]
        if not len(quantization["scales"]):
            return value
        return (value - quantization["zero_points"][0]) * quantization["scales"][0]
