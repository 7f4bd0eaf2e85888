"""The commands of `backendai-ctl`, one module a subject."""

from backendai_target.commands import answers, credentials, seed, service
from backendai_target.commands.base import Command

COMMANDS: tuple[Command, ...] = (
    *service.COMMANDS,
    *answers.COMMANDS,
    *seed.COMMANDS,
    *credentials.COMMANDS,
)
