"""From trained weights to one ONNX file that takes raw columns, and the proof that both agree."""
