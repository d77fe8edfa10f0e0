"""Truth beside the verdicts: scored rows and labels joined by row id, counted and measured."""
