"""Smaller networks from a trained one: fewer channels, zeros, weights that bear rounding."""
