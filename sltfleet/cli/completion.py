"""`sltfleet completion`."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Print a script that completes sltfleet's commands in a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("-v", "--verbose", count=True, expose_value=False, help="Show a traceback with an error.")
def command(shell: str) -> None:
    """Print the script that lets SHELL complete commands and options.

    \b
    bash   eval "$(sltfleet completion bash)"        in ~/.bashrc
    zsh    eval "$(sltfleet completion zsh)"         in ~/.zshrc, after compinit
    fish   sltfleet completion fish > ~/.config/fish/completions/sltfleet.fish
    """
    from click.shell_completion import get_completion_class

    from sltfleet.cli.main import COMPLETE_VARIABLE, PROGRAM, cli
    from sltfleet.report.terminal import say

    complete = get_completion_class(shell)
    assert complete is not None
    say(complete(cli, {}, PROGRAM, COMPLETE_VARIABLE).source())
