"""Triton kernels for the ViT core, each beside its float32 reference."""
