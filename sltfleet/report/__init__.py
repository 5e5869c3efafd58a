"""Text for people and for programs: tables, live displays, errors. It decides nothing and asks no host.

Everything that came from a host or a test passes through `sanitize.visible` before it reaches a terminal.
"""
