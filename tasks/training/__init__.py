"""From a snapshot to trained weights: tensors, loop and checkpoints."""
