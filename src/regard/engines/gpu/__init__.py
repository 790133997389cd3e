"""Kernels of the house's own for CUDA, in Triton: what looking takes, where a call can be put in their terms."""
