"""The runner: sltfleet's own process on a host, which keeps every worker busy until the budget's last second.

It is shipped as a zipapp (`sltfleet.app.archive`), needs nothing but python3 >= 3.8 on Linux, and imports only
`sltfleet.wire` and itself. Everything that decides is pure and has no clock; everything that touches the host is thin:

pure, the schedule:
- `schedule`: which unit comes next; `passes`: the order of each pass; `turns`: what of it may start now; `knowledge`:
  what is known of each unit; `shards`: which units of the first pass are this host's.
- `queue_schedule`: the same for a host that shares a queue; `queue_claims`: what it holds of the queue;
  `queue_dialogue`: what is to be told and was told; `queue_pass`: the pass that it proposes; `queue_messages`: one
  request and its answer; `pace`: how many units are started per second, and when what is done regularly is due.

pure, the core:
- `messages`: what the core is told (events) and what it asks for (actions).
- `dispatch`: the core; `phases`: the parts of a run's life; `slots`: what one worker does at the moment; `endings`:
  how an attempt is ended before its time; `settlement`: what becomes of one that is over; `memory`: whether there is
  memory for another one; `batches`: short tests that share a process; `tally`: the counts; `records`: the journal's
  events.
- `verdicts`: from what an attempt left behind to its outcome and its cases; `libtest`: what Rust's harness prints.
- `replay`: what the journal says of a run whose runner is gone; `snapshot`: the state file's content.

shell, while a run goes on:
- `loop`: the event loop; `spawn`: starting an attempt; `orphans`: ending what an attempt leaves behind.
- `shared_queue`: the queue as the loop sees it; `queue_link`: the thread that talks to it; `queue_redis`: the client;
  `queue_script`: what one request does on the server.
- `collect`: reading what a verdict needs; `outputs`: the attempts' output files; `artifacts`: which outputs are kept.
- `reporter`: what a person can see, in `journal` and state file; `files`: writing so that a reader never sees half a
  line or half a file.
- `sampler`, `footprint`, `processes`, `linux`: /proc, cgroups, process identities, the few system calls that Python
  has not.

shell, the commands (`__main__` is the command line):
- `prepare`, `launch`, `run`: from a specification to a runner that lives on; `specfile`: reading and checking it;
  `units`, `listing`: what is run; `tree`, `views`: where; `room`: whether the disk has room; `session`: how a runner
  outlives the login.
- `resume`: going on with a run whose runner is gone; `recovery`: what that one left in the folder.
- `stop`; `repro`: one attempt again; `queue_check`: whether this host can use the queue.
- `paths`: where everything lies; `locks`: who is active; `statefile`: what a runner said last.
"""
