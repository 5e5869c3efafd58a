"""How the controller reaches a host: `local` (this machine) and `ssh` (fabric), behind one Protocol.

- `base`: the Protocol, and what a command gives back.
- `local`: a child process.
- `ssh`: OpenSSH's own settings by `ssh -G`, the connection by fabric.
- `rsync`: rsync as a subprocess, with its progress.
- `connect`: from a host's configuration to its transport; imports fabric only when a host needs it.
"""
