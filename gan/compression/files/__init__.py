"""`.tflite` files: exported from Keras, quantized, and rewritten for XNNPACK."""
