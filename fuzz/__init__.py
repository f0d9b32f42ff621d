"""Fuzz targets: one module each, with `seeds()` and `one_input(data)`, which raises if something is wrong.

`python -m fuzz` drives all of them with the seeded mutator; `python -m fuzz.fuzz_envelope` (and so on) runs
one under atheris, guided by coverage, until it is stopped or finds something (arguments go to libFuzzer).
"""
