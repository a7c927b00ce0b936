"""Cross-reconstruction pre-training, fine-tuning and evaluation. Needs the ``train`` extra."""
