"""Families of pretrained models, one file each: their configs, and the names of their tensors."""
