"""The other side of benchmarks/features.py: the same network in PyTorch, in torch-fidelity's loops.

It runs under an interpreter that has PyTorch and torch-fidelity but none of our packages:

    python benchmarks/_features_torch.py WEIGHTS.npz FOLDER BATCH_SIZE

FOLDER holds images.npy, uint8 (N, 28, 28, 1). Features go to FOLDER/<loop>.npy, seconds to stdout.
"""

import json
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch_fidelity
from torch.nn import functional
from torch_fidelity import utils

NAME = "tapestry-fashion"
LAYERS = ("features", "logits")
WARM_UP = 500
# Of gan/metrics/nets/classifier.py.
STRIDES = (1, 2, 1, 2, 1)


class Extractor(torch_fidelity.FeatureExtractorBase):
    """The classifier: uint8 (B, 1, 28, 28) -> features (B, 128) and logits (B, 10)."""

    def __init__(
        self, name: str, features_list: tuple[str, ...], weights: str, **kwargs: object
    ) -> None:
        super().__init__(name, features_list)
        del kwargs  # torch-fidelity's settings
        with np.load(weights) as archive:
            arrays = [archive[f"arr_{i}"].astype(np.float32) for i in range(len(archive.files))]
        # Kernels from (height, width, in, out) to (out, in, height, width), matrices transposed.
        tensors = [torch.from_numpy(a.T if a.ndim == 2 else a) for a in arrays]
        tensors = [t.permute(3, 2, 0, 1) if t.dim() == 4 else t for t in tensors]
        self.parts = torch.nn.ParameterList(t.contiguous() for t in tensors)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs asked for."""
        x = images.to(torch.float32) / 127.5 - 1.0
        for i, stride in enumerate(STRIDES):
            kernel, bias = self.parts[2 * i], self.parts[2 * i + 1]
            if stride == 1:
                x = functional.conv2d(x, kernel, bias, padding=1)
            else:
                # TensorFlow's "same" needs one row and column at even sizes, and adds them last.
                x = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), kernel, bias, stride=stride)
            x = functional.silu(x)
        features = x.mean(dim=(2, 3))
        logits = functional.linear(features, self.parts[-2], self.parts[-1])
        outputs = {"features": features, "logits": logits}
        return tuple(outputs[name] for name in self.features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The outputs that can be asked for."""
        return LAYERS

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Inception Score is of the logits."""
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled() -> bool:
        """Whether the net may be compiled: it may not."""
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> torch.Tensor:
        """Unused."""
        return torch.zeros((1, 1, 28, 28), dtype=torch.uint8)


class Generator(torch_fidelity.GenerativeModelBase):
    """Hands out float images a batch at a time and rounded to 8 bits, as a wrapper does."""

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__()
        self.images, self.given = images, 0

    @property
    def z_size(self) -> int:
        """One number, which it ignores."""
        return 1

    @property
    def z_type(self) -> str:
        """The distribution of z, which it ignores."""
        return "normal"

    @property
    def num_classes(self) -> int:
        """No classes."""
        return 0

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 1, 28, 28)."""
        x = self.images[self.given : self.given + len(z)]
        self.given += len(z)
        return ((x + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)


class Images(torch.utils.data.Dataset):
    """uint8 tensors (1, 28, 28)."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


def main(weights: str, folder: pathlib.Path, batch_size: int) -> None:
    """Measures both loops, once."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch_fidelity.register_feature_extractor(NAME, Extractor)
    extractor = utils.create_feature_extractor(
        NAME, list(LAYERS), cuda=False, weights=weights, verbose=False
    )
    images = torch.from_numpy(np.load(folder / "images.npy")).permute(0, 3, 1, 2).contiguous()
    floats = images.to(torch.float32) / 127.5 - 1.0

    def dataset(count: int) -> dict[str, torch.Tensor]:
        # save_cpu_ram: in this process, not in four others, which would be more than one core.
        return utils.get_featuresdict_from_dataset(
            Images(images[:count]), extractor, batch_size, False, save_cpu_ram=True, verbose=False
        )

    def model(count: int) -> dict[str, torch.Tensor]:
        return utils.get_featuresdict_from_generative_model(
            Generator(floats), extractor, count, batch_size, False, rng_seed=0, verbose=False
        )

    loops: dict[str, Callable[[int], dict[str, torch.Tensor]]] = {
        "dataset": dataset,
        "model": model,
    }
    seconds = {}
    for name, loop in loops.items():
        loop(WARM_UP)
        began = time.perf_counter(), time.process_time()
        result = loop(len(images))
        seconds[name] = time.perf_counter() - began[0], time.process_time() - began[1]
        np.save(folder / f"{name}.npy", result["features"].numpy())
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]))
