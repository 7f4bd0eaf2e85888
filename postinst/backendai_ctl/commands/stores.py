"""The command that makes the stores of this host require a login."""

import argparse
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from backendai_ctl.answers.edits import set_answer
from backendai_ctl.answers.kinds import Address
from backendai_ctl.answers.secretstore import SecretStore
from backendai_ctl.answers.site import Site, load_site
from backendai_ctl.base.account import require_root
from backendai_ctl.base.errors import HostError, Status
from backendai_ctl.base.files import private_writer
from backendai_ctl.base.layout import Layout
from backendai_ctl.base.systemd import UNIT_SECONDS, control, has_systemd, is_active, unit_of
from backendai_ctl.base.text import decode
from backendai_ctl.commands.base import (
    Command,
    action_adder,
    answers,
    run_action,
    say,
    secret_store,
)
from backendai_ctl.services.follow_answers import Follower
from backendai_ctl.services.recipe import installed_services, load_recipe
from backendai_ctl.stores.etcd_users import ROOT, EtcdUsers
from backendai_ctl.stores.redis_admin import RedisAdmin

_USER = "backendai"
_ROOT_SECRET = "stores-etcd-root"
_NAMES = ("etcd.user", "etcd.password", "redis.password")
_REDIS_PASSWORD = "config/redis/password"
_HALFSTACK = "halfstack"
_HALFSTACK_REDIS = "halfstack-redis.conf"
_HALFSTACK_SECONDS = 600.0  # three containers end and start, and are waited for


@dataclass(kw_only=True)
class Securing:
    """One run. Each step inspects first, so that the next run completes an interrupted one.

    Answers are saved before a store requires them, and a note says until the end that services
    have to be restarted.
    """

    layout: Layout
    site: Site
    store: SecretStore
    give: Callable[[str, str], None]
    may_restart: bool = True

    @property
    def etcd(self) -> EtcdUsers:
        """The first member, which must be on this host."""
        return EtcdUsers(
            address=Address.parse(self.site["etcd.addresses"][0]),  # type: ignore[index]
            namespace=str(self.site["etcd.namespace"]),
            user=str(self.site["etcd.user"]),
            password=str(self.site["etcd.password"]),
        )

    @property
    def redis(self) -> RedisAdmin:
        """The server, which must be on this host."""
        return RedisAdmin(address=Address.parse(str(self.site["redis.address"])))

    @property
    def is_due(self) -> bool:
        """Whether a store still lets everybody in."""
        return self.redis.lets_in() or self.etcd.is_open()

    @property
    def is_halfstack(self) -> bool:
        """Whether the stores are containers, whose Valkey reads its password when it starts."""
        return _HALFSTACK in installed_services(self.layout)

    def refuse_others(self) -> None:
        """Raise HostError unless both stores are this host's own."""
        compose = self.layout.etc / "halfstack.yml"
        text = decode(compose.read_bytes()) if compose.exists() else _HALFSTACK_REDIS
        if self.is_halfstack and _HALFSTACK_REDIS not in text:
            raise HostError(
                f"{compose} was edited, and starts Valkey without {_HALFSTACK_REDIS}",
                hint=f"compare it with {compose.name}.new, take over the service redis, and run"
                " this again",
            )
        listed = self.site["etcd.addresses"]
        addresses = [*(listed if isinstance(listed, list) else []), str(self.site["redis.address"])]
        if self.site["redis.sentinels"] or not all(
            Address.parse(address).is_loopback for address in addresses
        ):
            raise HostError(
                "this secures the stores of a single node alone: etcd and Redis on loopback",
                hint="make users and passwords on the stores' hosts, and put them into site.toml",
            )

    def choose(self) -> None:
        """Save a user and passwords in site.toml if it has none."""
        if not self.site["redis.password"]:
            if not self.redis.lets_in():
                raise HostError(
                    "Redis asks for a password that site.toml does not have",
                    hint="backendai-ctl site set redis.password -",
                )
            self.give("redis.password", secrets.token_urlsafe(32))
        if not self.site["etcd.user"]:
            if not self.etcd.is_open():
                raise HostError(
                    "etcd asks for a user that site.toml does not have",
                    hint="backendai-ctl site set etcd.user NAME, and etcd.password -",
                )
            self.give("etcd.password", secrets.token_urlsafe(32))
            self.give("etcd.user", _USER)

    def prepare_etcd(self) -> None:
        """Create the users; running services are not affected."""
        user, password = str(self.site["etcd.user"]), str(self.site["etcd.password"])
        if self.etcd.is_open():
            self.etcd.prepare(user, password, self.store.secret(_ROOT_SECRET))
            self.etcd.put_open(_REDIS_PASSWORD, str(self.site["redis.password"]))
        elif not self.etcd.lets_in(user, password):
            self._give_again(user, password)
        else:
            self.etcd.put(_REDIS_PASSWORD, str(self.site["redis.password"]))

    def _give_again(self, user: str, password: str) -> None:
        """Set the user again as etcd's root: a purge keeps etcd's data, but not site.toml."""
        if (self.store.folder / _ROOT_SECRET).exists():
            root_password = self.store.secret(_ROOT_SECRET)
            if self.etcd.lets_in(ROOT, root_password):
                root = replace(self.etcd, user=ROOT, password=root_password)
                root.prepare(user, password, root_password)
                return
        raise HostError("etcd refuses the user and password of site.toml")

    def close(self, *, is_resumed: bool) -> None:
        """Refuse clients without a password from now on; also completes an interrupted run."""
        password = str(self.site["redis.password"])
        if self.redis.lets_in():
            if self.is_halfstack:
                self._restart_halfstack()
            else:
                self.redis.set_password(password)
            say(f"Redis on {self.redis.address} asks for a password")
        elif not self.redis.lets_in(password):
            raise HostError(f"Redis on {self.redis.address} refuses the password of site.toml")
        elif is_resumed and not self.is_halfstack:
            self.redis.keep_password(password)
        if self.etcd.is_open():
            self.etcd.close()
            say(f"etcd on {self.etcd.address} asks for a user")

    def _restart_halfstack(self) -> None:
        """Let the containers read their files anew; their unit's start closes etcd, too."""
        unit = unit_of(_HALFSTACK)
        if not self.may_restart:
            raise HostError(f"Redis on {self.redis.address} has started without a password")
        say(f"restarting {unit}")
        problem = control("restart", unit, seconds=_HALFSTACK_SECONDS)
        if problem or self.redis.lets_in():
            raise HostError(
                f"{unit} does not start with a password: {problem or 'Redis lets everybody in'}",
                hint=f"journalctl -u {unit} shows why; then: sudo backendai-ctl stores secure",
            )


def _secure(options: argparse.Namespace, layout: Layout) -> Status:
    if not options.as_caller:
        require_root("secure the stores")
    store = secret_store(options, layout)
    note = layout.state / "stores-secure.pending"

    def give(name: str, value: str) -> None:
        set_answer(layout, store.writer, name, value, os.environ)
        securing.site = load_site(layout)

    securing = Securing(
        layout=layout,
        site=load_site(layout),
        store=store,
        give=give,
        may_restart=options.restart,
    )
    securing.refuse_others()
    is_resumed = note.exists()
    is_due = is_resumed or securing.is_due
    if is_due:
        private_writer().replace(note, "")
    securing.choose()
    securing.prepare_etcd()
    follower = Follower(
        layout=layout, answers=answers(options, layout), names=_NAMES, writer=store.writer
    )
    for service in follower.run():
        is_due = True
        private_writer().replace(note, "")
        say(f"the configuration of {service} has the passwords")
    securing.close(is_resumed=is_resumed)
    if is_due:
        if options.restart:
            _restart(layout)
        note.unlink(missing_ok=True)  # the halfstack's start runs this command, too
    say("etcd and Redis let in the services of this node alone")
    return Status.OK


def _restart(layout: Layout) -> None:
    """Restart running services with a configuration; waiting ones start by themselves."""
    if not has_systemd(layout):
        return
    recipes = [load_recipe(layout, service) for service in installed_services(layout)]
    named = [unit_of(recipe.service) for recipe in recipes if recipe.needs.tcp]
    units = [unit for unit in named if is_active(unit)]
    if units:
        say(f"restarting {', '.join(units)}")
        problem = control("restart", *units, seconds=UNIT_SECONDS)
        if problem:
            say(f"warning: {problem}; see: backendai-ctl status")


def _arguments(parser: argparse.ArgumentParser) -> None:
    action = action_adder(parser)
    secure = action(
        "secure",
        "let etcd and Redis on loopback ask for a user and passwords, give them to the services,"
        " and restart what runs",
        _secure,
    )
    secure.add_argument(
        "--no-restart", dest="restart", action="store_false", help="leave what runs as it is"
    )


COMMANDS = (
    Command(
        name="stores",
        about="close the stores of this host to its other users",
        run=run_action,
        add_arguments=_arguments,
    ),
)
