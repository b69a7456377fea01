"""Measurements of time and memory; each writes a JSON into results/ with the name of the machine."""
