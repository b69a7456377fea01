.PHONY: check test test-versions test-lowest lint

lint:
	ruff format --check .
	ruff check .
	find ddpo -name "*.pyi" -delete # Gradio writes them beside its components when the app runs
	mypy

# The fast lane: format, lint, types, and the tests that need no browser and no long run.
check: lint
	pytest -q -m "not slow and not browser"

# The full lane: everything; needs Chromium.
test: lint
	pytest

# The suite on every promised pair of Python and torch, each in an environment of its own; 20 GB, and an hour on 2 cores.
test-versions:
	python3 scripts/test_versions.py $(ARGS)

# The suite with the lowest version of everything that requirements.txt allows.
test-lowest:
	python3 scripts/test_versions.py --only py312-lowest --skip-resolution $(ARGS)
