"""PyTorch's layers for ours: NCHW, by PyTorch's own wherever it has them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Options = dict[str, Any]
Arrays = dict[str, np.ndarray]
LEAK = 0.2


class Function(nn.Module):
    """A layer without weights."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        return self.function(*x)


def _activation(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    return {
        "linear": lambda x: x,
        "relu": torch.relu,
        "tanh": torch.tanh,
        "leaky_relu": lambda x: functional.leaky_relu(x, LEAK),
        "scaled_leaky_relu": lambda x: functional.leaky_relu(x, LEAK) * math.sqrt(2.0),
    }[name]


class Kernel(nn.Module):
    """A linear layer, perhaps of equalized learning rate, its bias and its activation."""

    def __init__(self, layer: nn.Module, options: Options) -> None:
        super().__init__()
        self.layer = layer
        self.activation = _activation(options["activation"])
        self.scale = self.bias_scale = 1.0
        if options["equalized"]:
            fan_in = layer.weight[0].numel()
            self.scale = options["gain"] * options["lr_multiplier"] / math.sqrt(fan_in)
            self.bias_scale = options["lr_multiplier"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.scale == 1.0:
            return self.activation(self.layer(x))
        bias = self.layer.bias
        if bias is not None and self.bias_scale != 1.0:
            bias = bias * self.bias_scale
        return self.activation(self.apply_kernel(x, self.layer.weight * self.scale, bias))

    def apply_kernel(self, x: torch.Tensor, weight: Any, bias: Any) -> torch.Tensor:
        return functional.linear(x, weight, bias)


class Convolution(Kernel):
    """The same for a convolution; `pad` is what a padding that differs by side adds."""

    def __init__(self, layer: nn.Module, options: Options, pad: tuple[int, ...] = ()) -> None:
        super().__init__(layer, options)
        self.pad = pad

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, self.pad) if self.pad else x)

    def apply_kernel(self, x: torch.Tensor, weight: Any, bias: Any) -> torch.Tensor:
        layer = self.layer
        return functional.conv2d(x, weight, bias, layer.stride, layer.padding, groups=layer.groups)


class Cropped(nn.Module):
    """A transposed convolution of an odd kernel: TensorFlow cuts the last row and column."""

    def __init__(self, layer: Kernel, size: tuple[int, int]) -> None:
        super().__init__()
        self.layer, self.size = layer, size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)[:, :, : self.size[0], : self.size[1]]


def _fill(layer: Any, kernel: torch.Tensor, weights: Arrays, options: Options) -> Any:
    with torch.no_grad():
        layer.weight.copy_(kernel)
        if layer.bias is not None:
            layer.bias.copy_(weights["bias"])
    if options["spectral_norm"]:
        layer = nn.utils.parametrizations.spectral_norm(layer)
        norm = layer.parametrizations.weight[0]
        v = functional.normalize(kernel.flatten(1).T @ weights["u"], dim=0)
        norm.load_state_dict({"_u": weights["u"], "_v": v})
    return layer


def _dense(options: Options, weights: Any, shapes: Any) -> nn.Module:
    inputs, outputs = weights["kernel"].shape
    layer = nn.Linear(inputs, outputs, bias="bias" in weights)
    return Kernel(_fill(layer, weights["kernel"].T, weights, options), options)


def _same(n: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
    return total // 2, total - total // 2


def _conv(options: Options, weights: Any, shapes: Any) -> nn.Module:
    height, width, depth, filters = weights["kernel"].shape
    stride, groups = options["strides"], options["groups"]
    rows = columns = (0, 0)
    if options["padding"] == "same":
        rows, columns = (_same(n, k, stride) for n, k in zip(shapes[0], (height, width)))
    even = rows[0] == rows[1] and columns[0] == columns[1]
    layer = nn.Conv2d(
        depth * groups,
        filters,
        (height, width),
        stride,
        (rows[0], columns[0]) if even else 0,
        groups=groups,
        bias="bias" in weights,
    )
    layer = _fill(layer, weights["kernel"].permute(3, 2, 0, 1), weights, options)
    return Convolution(layer, options, () if even else (*columns, *rows))


def _transposed(options: Options, weights: Any, shapes: Any) -> nn.Module:
    size, _, filters, inputs = weights["kernel"].shape
    stride = options["strides"]
    pad = max(size - stride, 0) // 2
    layer = nn.ConvTranspose2d(inputs, filters, size, stride, pad, bias="bias" in weights)
    kernel = weights["kernel"].permute(3, 2, 0, 1)
    made = Kernel(_fill(layer, kernel, weights, options), options)
    return Cropped(made, shapes[-1][:2]) if (size - stride) % 2 else made


def _norm(options: Options, weights: Any, shapes: Any) -> nn.Module:
    kind = nn.BatchNorm2d if len(shapes[0]) == 3 else nn.BatchNorm1d
    features = shapes[0][-1]
    layer = kind(features, options["epsilon"], 1.0 - options["momentum"])
    return _scaled(layer, weights)


def _instance_norm(options: Options, weights: Any, shapes: Any) -> nn.Module:
    return _scaled(nn.InstanceNorm2d(shapes[0][-1], options["epsilon"], affine=True), weights)


def _scaled(layer: Any, weights: Any) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(weights["gamma"])
        layer.bias.copy_(weights["beta"])
    return layer


class Filter(nn.Module):
    """A low-pass filter at a stride, or transposed, on each channel."""

    def __init__(self, taps: list[float], channels: int, kind: str) -> None:
        super().__init__()
        row = torch.tensor(taps) / sum(taps) * (2.0 if kind == "up" else 1.0)
        kernel = torch.outer(row, row).expand(channels, 1, -1, -1).contiguous()
        self.register_buffer("kernel", kernel)
        self.kind, self.channels = kind, channels
        self.edge = len(taps) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        options = {"padding": self.edge - (self.kind != "blur"), "groups": self.channels}
        if self.kind == "up":
            return functional.conv_transpose2d(x, self.kernel, stride=2, **options)
        stride = 2 if self.kind == "down" else 1
        return functional.conv2d(x, self.kernel, stride=stride, **options)


def _filter(kind: str) -> Callable[..., nn.Module]:
    return lambda options, weights, shapes: Filter(options["taps"], shapes[0][-1], kind)


class Constant(nn.Module):
    """The learnt start of a generator."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(value.permute(0, 3, 1, 2).contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(x), -1, -1, -1)


class Modulated(nn.Module):
    """StyleGAN2's convolution: images times styles, one kernel, then demodulation."""

    def __init__(self, options: Options, weights: Any, shapes: Any) -> None:
        super().__init__()
        kernel = weights["kernel"].permute(3, 2, 0, 1).contiguous()
        self.weight = nn.Parameter(kernel)
        self.bias = nn.Parameter(weights["bias"]) if "bias" in weights else None
        self.activation = _activation(options["activation"])
        self.scale = options["gain"] / math.sqrt(kernel[0].numel()) if options["equalized"] else 1.0
        self.demodulate, self.up = options["demodulate"], options["up"]
        self.epsilon = options["epsilon"]
        row = torch.tensor(options["taps"]) / sum(options["taps"]) * 2.0
        self.register_buffer("taps", torch.outer(row, row)[None, None])

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self.scale
        x = x * style[:, :, None, None].to(x.dtype)
        if self.up:
            # The filter, folded into the kernel.
            out, into, size, _ = weight.shape
            flat = weight.flip(2, 3).reshape(out * into, 1, size, size)
            edge = self.taps.shape[-1] - 1
            flat = functional.conv2d(flat, self.taps, padding=edge).reshape(
                out, into, size + edge, -1
            )
            x = functional.conv_transpose2d(
                x, flat.transpose(0, 1), stride=2, padding=(size + edge - 2) // 2
            )
        else:
            x = functional.conv2d(x, weight, padding=weight.shape[-1] // 2)
        if self.demodulate:
            squares = weight.square().sum((2, 3))
            factors = torch.rsqrt(style.float().square() @ squares.T + self.epsilon)
            x = x * factors[:, :, None, None].to(x.dtype)
        if self.bias is not None:
            x = x + self.bias[None, :, None, None]
        return self.activation(x)


class Noise(nn.Module):
    """N(0, 1) noise times a learnt strength, the same one at inference."""

    def __init__(self, options: Options, weights: Any, shapes: Any) -> None:
        super().__init__()
        self.strength = nn.Parameter(weights["strength"])
        self.register_buffer("noise", weights["noise"].permute(2, 0, 1)[None].contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.randn_like(x[:, :1]) if self.training else self.noise
        return x + noise * self.strength


class ImageRange(nn.Module):
    """Clips at inference."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.training else x.clamp(-1.0, 1.0)


class SecondLatent(nn.Module):
    """Another z for each row in training."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return z
        other = torch.randn_like(z)
        other = other * torch.rsqrt(other.square().mean(-1, keepdim=True) + 1e-8)
        return torch.cat([z, other])


class StyleMixing(nn.Module):
    """Layers from a random one on have the second w in training."""

    def __init__(self, options: Options, weights: Any, shapes: Any) -> None:
        super().__init__()
        self.count, self.probability = options["count"], options["probability"]

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return w
        first, second = (half[:, None] for half in w.chunk(2))
        start = 1 + (torch.rand(len(first)) * (self.count - 1)).floor()
        start = torch.where(torch.rand(len(first)) < self.probability, start, float(self.count))
        mixed = torch.arange(self.count) >= start[:, None]
        return torch.where(mixed[:, :, None], second, first)


class Truncation(nn.Module):
    """The average of w; nothing is truncated here."""

    def __init__(self, options: Options, weights: Any, shapes: Any) -> None:
        super().__init__()
        self.register_buffer("mean", weights["mean"])
        self.decay = options["decay"]

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.mean.lerp_(w.detach().float().mean(0), 1.0 - self.decay)
        return w


def _stddev(size: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def append(x: torch.Tensor) -> torch.Tensor:
        group = max(d for d in range(1, size + 1) if len(x) % d == 0)
        grouped = x.float().reshape(group, len(x) // group, *x.shape[1:])
        stddev = (grouped.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3), keepdim=True)
        stddev = stddev.repeat(group, 1, *x.shape[2:]).to(x.dtype)
        return torch.cat([x, stddev], 1)

    return append


def _pixel_norm(epsilon: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: x * torch.rsqrt(x.square().mean(1, keepdim=True) + epsilon)


def _reshape(options: Options, weights: Any, shapes: Any) -> nn.Module:
    *sides, channels = shapes[-1]
    return Function(lambda x: x.reshape(len(x), channels, *sides))


def _lambda(options: Options, weights: Any, shapes: Any) -> nn.Module:
    if options["function"] == "global_sum_pool":
        return Function(lambda x: x.sum((2, 3)))
    if options["function"] == "scale":
        factor = options["arguments"]["factor"]
        return Function(lambda x: x * factor)
    if options["function"] == "reflect_pad":
        pixels = options["arguments"]["pixels"]
        return Function(lambda x: functional.pad(x, (pixels,) * 4, mode="reflect"))
    raise ValueError(f"the function {options['function']!r} has no counterpart here")


def _zero_padding(options: Options, weights: Any, shapes: Any) -> nn.Module:
    (top, bottom), (left, right) = options["padding"]
    return nn.ZeroPad2d((left, right, top, bottom))


def _style_of(options: Options, weights: Any, shapes: Any) -> nn.Module:
    index = options["index"]
    return Function(lambda w: w if w.dim() == 2 else w[:, index])


# Of (options, weights, shapes of the inputs and the output).
KINDS: dict[str, Callable[..., nn.Module]] = {
    "Dense": _dense,
    "Conv2D": _conv,
    "Conv2DTranspose": _transposed,
    "ModulatedConv2D": Modulated,
    "BatchNormalization": _norm,
    "InstanceNorm": _instance_norm,
    "ReLU": lambda *_: nn.ReLU(),
    "Activation": lambda options, *_: Function(_activation(options["activation"])),
    "Reshape": _reshape,
    "Flatten": lambda *_: nn.Flatten(),
    "Add": lambda *_: Function(torch.add),
    "Multiply": lambda *_: Function(torch.mul),
    "AveragePooling2D": lambda options, *_: nn.AvgPool2d(options["pool_size"]),
    "NearestUpsampling": lambda options, *_: nn.Upsample(scale_factor=options["factor"]),
    "ZeroPadding2D": _zero_padding,
    "Lambda": _lambda,
    "FilteredUpsampling": _filter("up"),
    "FilteredDownsampling": _filter("down"),
    "LowPass": _filter("blur"),
    "LearnedConstant": lambda options, weights, shapes: Constant(weights["value"]),
    "ImageRange": lambda *_: ImageRange(),
    "PixelNorm": lambda options, *_: Function(_pixel_norm(options["epsilon"])),
    "MinibatchStddev": lambda options, *_: Function(_stddev(options["group_size"])),
    "NoiseInjection": Noise,
    "SecondLatent": lambda *_: SecondLatent(),
    "StyleMixing": StyleMixing,
    "StyleOf": _style_of,
    "Truncation": Truncation,
}
