"""What `khshim manifest` is asked for, and whether its parts fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import shim
from shim import durations
from shim.budget import Budget
from shim.commands import kubernetes
from shim.commands.option_values import User, Variable
from shim.commands.rbac import ApiResource
from shim.commands.sources import File, ManifestError
from shim.kuberhealthy import PATHS, Server
from shim.settings import Settings


class Check(NamedTuple):
    """One check. Each value by itself is one that a cluster takes (shim.commands.option_values).

    `interval` is "" for one run; durations are written as Go reads them. `image` has khshim;
    the script runs in it, or in `in_image`, which knows nothing of khshim and gets it by an
    init container or, `image_volume`, by a volume. `is_folder` makes khshim run all scripts
    among `script` and `files`, in one pod. None and empty stand for what is not
    asked for.
    """

    script: File
    name: str
    interval: str
    timeout: str
    args: Sequence[str] = ()
    files: Sequence[File] = ()
    server: Server = Server.V3
    image: str = f"khshim:{shim.__version__}"
    in_image: str | None = None
    image_volume: bool = False
    user: User | None = None
    namespace: str | None = None
    labels: Sequence[tuple[str, str]] = ()
    annotations: Sequence[tuple[str, str]] = ()
    env: Sequence[Variable] = ()
    env_from: Sequence[tuple[str, str]] = ()
    memory: str | None = None
    cpu: str = "10m"
    pull_secrets: Sequence[str] = ()
    node_selector: Sequence[tuple[str, str]] = ()
    tolerations: Sequence[Mapping[str, str]] = ()
    priority_class: str | None = None
    service_account: str | None = None
    role: Sequence[ApiResource] = ()
    cluster_role: Sequence[ApiResource] = ()
    is_folder: bool = False

    @property
    def khshim_image(self) -> str:
        """The image that khshim comes from; only to be put into another, the smaller one will do."""
        is_default = self.image == Check._field_defaults["image"]
        return f"{self.image}-runtime" if self.in_image and is_default else self.image

    @property
    def plain_env(self) -> dict[str, str]:
        """The variables whose values are known here."""
        return {name: value for name, value in self.env if isinstance(value, str)}

    @property
    def account(self) -> str | None:
        """The service account of the pod, None for the namespace's own."""
        return self.service_account or (self.name if self.role or self.cluster_role else None)


def validate(check: Check) -> None:
    """Raise ManifestError where a cluster would refuse the check, or run it otherwise."""
    _refuse_twins("the variable", [name for name, _ in check.env])
    _refuse_twins("--label", [key for key, _ in check.labels])
    _refuse_twins("--annotation", [key for key, _ in check.annotations])
    _refuse_twins("--node-selector", [key for key, _ in check.node_selector])
    _validate_files([check.script, *check.files])
    _validate_durations(check)
    if check.image_volume and check.in_image is None:
        raise ManifestError(
            "--image-volume is a way to bring khshim into another image: --in IMAGE is missing"
        )
    if check.image_volume and check.server is Server.V2:
        raise ManifestError(
            "--image-volume needs v3: Kuberhealthy v2 is older than such volumes, and would leave"
            " it out of the pod"
        )
    if check.cluster_role and check.namespace is None:
        raise ManifestError(
            "--cluster-role needs --namespace: its binding names the namespace of the service account"
        )


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ManifestError(f"{what} {name} is given twice")


def _validate_files(files: Sequence[File]) -> None:
    for file in files:
        if not kubernetes.is_config_key(file.name):
            raise ManifestError(
                f"{file.name}: in a ConfigMap a file's name is made of letters, digits, '-', '_'"
                " and '.'"
            )
    _refuse_twins("a file named", [file.name for file in files])
    if sum(len(file.text.encode()) for file in files) > kubernetes.CONFIG_MAP_LIMIT:
        raise ManifestError(
            "the script and its files are together larger than the 1 MiB of a ConfigMap: put them"
            " into an image"
        )


def _validate_durations(check: Check) -> None:
    timeout = durations.parse_go(check.timeout)
    # A reserve that is not set depends on the server, which khshim tells by its URL.
    url = f"http://kuberhealthy{PATHS[check.server]}"
    settings = Settings({"KH_REPORTING_URL": url, **check.plain_env})
    grace_period, reserve = settings.grace_period, settings.report_reserve
    least = (grace_period + reserve) / Budget.SHARE
    if timeout < least or timeout == 0:
        raise ManifestError(
            f"--timeout {check.timeout} is too short: {grace_period:g}s for the script to end"
            f" (SHIM_GRACE_PERIOD) and {reserve:g}s for the report on {check.server.value}"
            f" (SHIM_REPORT_RESERVE) are {grace_period + reserve:g}s, and where that is more than a"
            f" third of the time khshim has to shorten both: it should be {least:g}s or more"
        )
    if check.interval and durations.parse_go(check.interval) < timeout:
        raise ManifestError(
            f"--interval {check.interval} is shorter than --timeout {check.timeout}: runs would overlap"
        )
