"""fleet.yaml: its model (`model`), how it is read and what is said of mistakes (`load`), its schema (`schema`)."""
