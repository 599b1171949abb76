"""What a model is made of: no training loop, no flags."""

__version__ = "0.2.0"
