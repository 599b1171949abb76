"""Keras layers, one per file.

Importing the package registers them all, which is what loading a saved model with safe mode on
needs: `import layers; keras.saving.load_model("generator.keras")`.
"""

from layers import functions
from layers.batch_norm_per_image import BatchNormPerImage
from layers.batch_normalization import BatchNormalization
from layers.conditional_batch_norm import ConditionalBatchNorm
from layers.conv2d import Conv2D
from layers.conv2d_transpose import Conv2DTranspose
from layers.dense import Dense
from layers.dropout import Dropout
from layers.filtered_resampling import FilteredDownsampling, FilteredUpsampling, LowPass
from layers.image_range import ImageRange
from layers.instance_norm import InstanceNorm
from layers.learned_constant import LearnedConstant
from layers.maxout import Maxout
from layers.minibatch_stddev import MinibatchStddev
from layers.modulated_conv2d import ModulatedConv2D
from layers.nearest_upsampling import NearestUpsampling
from layers.noise_injection import NoiseInjection
from layers.pixel_norm import PixelNorm
from layers.self_attention import SelfAttention
from layers.style_mixing import SecondLatent, StyleMixing, StyleOf
from layers.truncation import Truncation

__all__ = [
    "BatchNormPerImage",
    "BatchNormalization",
    "ConditionalBatchNorm",
    "Conv2D",
    "Conv2DTranspose",
    "Dense",
    "Dropout",
    "FilteredDownsampling",
    "FilteredUpsampling",
    "ImageRange",
    "InstanceNorm",
    "LearnedConstant",
    "LowPass",
    "Maxout",
    "MinibatchStddev",
    "ModulatedConv2D",
    "NearestUpsampling",
    "NoiseInjection",
    "PixelNorm",
    "SecondLatent",
    "SelfAttention",
    "StyleMixing",
    "StyleOf",
    "Truncation",
    "functions",
]
