"""The Cross-IQA network: shared ViT encoder, shared decoder, quality heads. Needs the ``train`` extra."""
