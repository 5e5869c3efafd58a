"""The demo: a sample suite (`crate/`, with its corpus) and the generator of that corpus."""
