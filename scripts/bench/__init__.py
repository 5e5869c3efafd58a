"""Measures sltfleet side by side with what people use today: `scripts/bench/run NAME`.

One module per benchmark (its function `measure` returns a `Result`); `figures` has what they share: alternation,
medians, ratios. `hosts` starts the real runner, `crates` makes suites of tests that sleep. The peers are installed by
the script `run`.
"""
