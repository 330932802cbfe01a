"""Checkpoints: weights in and out of files, and those that ship."""

from microfiche.checkpoints.nano import load, save

__all__ = ["load", "save"]
