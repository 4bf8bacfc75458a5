"""Variants, scores, verdicts and reports from files and results, without any service."""
