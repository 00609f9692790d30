"""How models/embedded/base is made from nothing: `make_base`."""

from training.embedded.base import make_base

__all__ = ["make_base"]
