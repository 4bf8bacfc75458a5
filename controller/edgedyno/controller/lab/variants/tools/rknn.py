"""RKNN, for the NPUs of Rockchip, by RKNN-Toolkit2: FP16, and INT8 calibrated on prepared tensors."""
