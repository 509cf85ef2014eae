"""docs/benchmarks.md, its plots and its figures, made from one run."""
