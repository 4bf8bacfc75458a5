"""The self-test of a profile's FP32 model here, in ONNX Runtime, and a profile's known images as boards get them."""
