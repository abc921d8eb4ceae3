"""Predictions from an ONNX file: torch-free, streaming, every row accounted for."""
