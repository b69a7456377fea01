"""What a Hugging Face Space adds: ZeroGPU, training in slices, signing in, who may train.

It imports the engine and `ui.shared`.
"""
