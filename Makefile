.PHONY: test-versions
# The suite on every promised pair of Python and torch, each in an environment of its own; 20 GB, and an hour on 2 cores.
test-versions:
	python3 scripts/test_versions.py $(ARGS)
