"""TOUCHES. Thin wrappers around the kernel, SQS, the terminal and files; no decisions."""
