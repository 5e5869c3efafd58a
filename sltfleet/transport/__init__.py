"""How the controller reaches a host: `local` (this machine) and `ssh` (fabric), behind one Protocol.

- `base`: the Protocol, and what a command gives back.
- `local`: a child process.
- `ssh`: OpenSSH's own settings by `ssh -G`, the connection by fabric; `dial`: how it is opened, with `sockets` (a way
  for the bytes), `hostkeys` (is it the host?), `login` (who are we?) and `keyfile` (what a key file tells).
- `capture`: what a script prints, behind whatever the login shell printed before.
- `rsync`: rsync as a subprocess, with its progress; `login_filter`: between it and an ssh that prints noise.
- `worktree`, `git`: what of the controller's own tree is synced.
- `connect`: from a host's configuration to its transport; imports fabric only when a host needs it.
"""
