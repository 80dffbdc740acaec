"""Export of graphs to ONNX, operator audits, and random checkpoints."""
