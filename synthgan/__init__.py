"""Synthetic tables: conditional WGAN-GP models with fit and sample, and honest evaluators."""

from __future__ import annotations

__version__ = "0.1.0"
