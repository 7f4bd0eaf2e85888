"""The ``distro`` provider: nothing is bundled, the distribution's Python is used.

It serves release lines whose minor version the target distribution has.
"""

from builder.base.cache import Cache, key_of
from builder.base.errors import RuntimeUnavailableError
from builder.base.model import PackageFormat, RuntimeChoice
from builder.runtime.model import Runtime, RuntimeRequest
from builder.runtime.pins import check_version
from builder.runtime.prepared import ask_version, find_host_python


class DistroProvider:
    """Finds the interpreter on this host that stands in for the target's."""

    choice = RuntimeChoice.DISTRO

    def provide(self, request: RuntimeRequest, cache: Cache) -> Runtime:  # noqa: ARG002
        """Return this host's interpreter of the minor, to compile bytecode with; no tree.

        Its architecture does not matter, and it may come from outside the distribution.
        """
        python = find_host_python(request.minor)
        if python is None:
            raise RuntimeUnavailableError(
                f"this host has no Python {request.minor}, which compiles the bytecode of"
                f" release {request.release}",
                hint=f"build on a distribution that has python{request.minor}, install it, or"
                " bundle a Python with --runtime auto",
            )
        version = ask_version(python, str(python))
        check_version(version, request, str(python))
        return Runtime(
            provider=self.choice,
            version=version,
            arch=request.arch,
            origin="the target's distribution",
            sha256="",
            key=key_of("distro", request.minor),
            tree=None,
            python=python,
            glibc="",
        )


def distro_depends(minor: str, fmt: PackageFormat) -> tuple[str, ...]:
    """Return the dependencies of a package without its own Python.

    Debian has one Python 3 at a time: the bounds on ``python3`` show apt, before an upgrade
    of the distribution, that this package must change as well; ``python3.X`` is the program
    that is run. Red Hat and SUSE have several side by side, and ``python3`` is only the
    default: there ``python(abi)`` names the minor, as in all their Python packages, and the
    file names the program.
    """
    if fmt is PackageFormat.RPM:
        return (fmt.relation("python(abi)", "=", minor), f"/usr/bin/python{minor}")
    major, number = minor.split(".")
    following = f"{major}.{int(number) + 1}"
    relation = fmt.relation
    bounds = relation("python3", ">=", minor), relation("python3", "<<", following)
    return (*bounds, f"python{minor}")
