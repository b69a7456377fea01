"""What several tabs and the endpoints share: inputs, uploads, errors as sentences, pieces of HTML.

It imports the engine and no other room of `ui`.
"""
