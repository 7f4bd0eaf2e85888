"""The commands of `backendai-ctl`, one module for each subject."""

from backendai_ctl.commands import (
    addon,
    answers,
    backup,
    credentials,
    first_boot,
    health,
    rpc,
    secrets,
    seed,
    service,
    stores,
    upgrade,
    user,
)
from backendai_ctl.commands.base import Command

COMMANDS: tuple[Command, ...] = (
    *service.COMMANDS,
    *rpc.COMMANDS,
    *stores.COMMANDS,
    *first_boot.COMMANDS,
    *health.COMMANDS,
    *answers.COMMANDS,
    *seed.COMMANDS,
    *credentials.COMMANDS,
    *user.COMMANDS,
    *secrets.COMMANDS,
    *addon.COMMANDS,
    *upgrade.COMMANDS,
    *backup.COMMANDS,
)
