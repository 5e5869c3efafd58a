"""What each command does, one module per verb, without a word about terminals.

A verb takes a `Fleet` (see `app.fleet`), tells what happens as events to a `Listener` (see `app.progress`), and returns
values or raises `core.errors`. `sltfleet.cli` draws the events and the values.
"""
