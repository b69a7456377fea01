"""Models on the Hugging Face Hub: what an id means, how files are downloaded, and what goes wrong there.

It imports `common`.
"""
