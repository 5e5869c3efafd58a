"""The runner: sltfleet's own process on a host, which keeps every worker busy until the budget's last second.

It is shipped as a zipapp (`sltfleet.app.archive`), needs nothing but python3 >= 3.8 on Linux, and imports only
`sltfleet.wire` and itself. Everything that decides is pure and has no clock; everything that touches the host is thin:

pure:
- `messages`: what the core is told (events) and what it asks for (actions).
- `schedule`: which unit comes next; `passes`: the order of each pass; `knowledge`: what is known of each unit.
- `dispatch`: the core; `phases`: the parts of a run's life; `slots`: what one worker does at the moment; `endings`:
  how an attempt is ended before its time; `memory`: whether there is memory for another one; `tally`: the counts;
  `records`: the journal's events.
- `verdicts`: from what an attempt left behind to its outcome and its cases.

shell:
- `loop`: the event loop; `spawn`: starting an attempt; `orphans`: ending what an attempt leaves behind.
- `collect`: reading what a verdict needs; `outputs`: the attempts' output files; `artifacts`: which outputs are kept.
- `reporter`: what a person can see: journal and state file; `journal`, `files`: writing so that a reader never sees
  half a line or half a file; `snapshot` (pure): the state file's content.
- `sampler`, `footprint`, `processes`, `linux`: /proc, cgroups, process identities, the few system calls that Python
  has not.
- `units`, `tree`, `views`: what is run, and where.
- `launch`, `stop`: the commands; `paths`: where everything lies; `__main__`: the command line.
"""
