"""Synthetic slides, made from scratch, with an identifier planted in every place of the PHI map: the tests' oracle."""
