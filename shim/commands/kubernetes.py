"""What Kubernetes accepts and what it does to a text, by its API's validation and its kubelet."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Any

# etcd's limit for one object, and so for the data of a ConfigMap (MaxSecretSize).
CONFIG_MAP_LIMIT = 1024 * 1024
# The limit for all annotations of an object, names and values (TotalAnnotationSizeLimitB).
ANNOTATIONS_LIMIT = 256 * 1024
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# What kubectl adds to the object: "annotations":{}, a namespace of 63 letters, a newline.
KUBECTL_ADDS = 100

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?"
# The grammar of an image's name (distribution/reference): [HOST/]PATH[:TAG][@DIGEST].
_COMPONENT = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[-A-Za-z0-9.]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_IMAGE = re.compile(
    f"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::\w[-.\w]{0,127})?(?:@[A-Za-z][-+._A-Za-z0-9]*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)

# The grammar of a quantity (k8s.io/apimachinery/pkg/api/resource), signs and n, u left out.
_QUANTITY = re.compile("([0-9]+(?:[.][0-9]*)?|[.][0-9]+)([A-Za-z]*|[eE][-+]?[0-9]{1,2})")
_UNITS = {
    **{unit: Fraction(1000) ** power for power, unit in enumerate(("m", "", "k", *"MGTPE"), -1)},
    **{f"{unit}i": Fraction(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def is_label(name: str) -> bool:
    """Tell whether `name` is an RFC 1123 label, as a namespace's name is."""
    return len(name) <= 63 and re.fullmatch(_LABEL, name) is not None


def is_subdomain(name: str) -> bool:
    """Tell whether `name` is an RFC 1123 subdomain, as a secret's name is."""
    return len(name) <= 253 and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", name) is not None


def is_config_key(name: str) -> bool:
    """Tell whether `name` can be a key of a ConfigMap or of a secret."""
    is_path = name == "." or name.startswith("..")
    return len(name) <= 253 and re.fullmatch("[-._a-zA-Z0-9]+", name) is not None and not is_path


def is_variable(name: str) -> bool:
    """Tell whether `name` can be an environment variable's, in every release of Kubernetes."""
    is_path = name == "." or name.startswith("..")
    return re.fullmatch("[-._a-zA-Z][-._a-zA-Z0-9]*", name) is not None and not is_path


def is_label_key(key: str) -> bool:
    """Tell whether `key` is a qualified name: a name, or a domain, a slash and a name."""
    prefix, slash, name = key.rpartition("/")
    has_prefix = is_subdomain(prefix) if slash else True
    return has_prefix and len(name) <= 63 and re.fullmatch(_QUALIFIED, name) is not None


def is_annotation_key(key: str) -> bool:
    """Tell whether `key` can be an annotation's: a label's key, the case of its domain aside."""
    return is_label_key(key.lower())


def is_label_value(value: str) -> bool:
    """Tell whether `value` can be a label's; the empty one can."""
    return value == "" or (len(value) <= 63 and re.fullmatch(_QUALIFIED, value) is not None)


def is_image(name: str) -> bool:
    """Tell whether `name` can be an image's."""
    return _IMAGE.fullmatch(name) is not None


def has_registry(image: str) -> bool:
    """Tell whether nodes can look an image up in a registry by its name.

    A name of one part is to them one of Docker Hub's own images, of which khshim is none,
    and podman calls localhost what it has built itself.
    """
    host, slash, _ = image.partition("/")
    return slash != "" and host != "localhost"


def quantity(text: str) -> Fraction:
    """Return what a quantity such as 100m, 0.5, 128Mi or 1e6 stands for; raises ValueError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    number, unit = match.groups()
    if unit in _UNITS:
        return Fraction(number) * _UNITS[unit]
    if unit[1:].lstrip("-+").isdigit():
        return Fraction(number) * Fraction(10) ** int(unit[1:])
    raise ValueError(text)


def literal(text: str) -> str:
    """Return what to write into `args` or `env` so that the container gets `text`.

    The kubelet replaces $(NAME) by a variable and $$ by $. Every dollar sign is doubled,
    since that one also spoils a character behind it that is not ASCII.
    """
    return text.replace("$", "$$")


def fits_last_applied(resource: dict[str, Any]) -> bool:
    """Tell whether `kubectl apply` can keep the resource in an annotation, as it does.

    It keeps Go's JSON of the whole, where <, > and & take six bytes each.
    """
    text = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
    size = (
        len(text.encode())
        + 5 * sum(map(text.count, "<>&"))
        + 3 * sum(map(text.count, "\u2028\u2029"))
    )
    return len(LAST_APPLIED) + size + KUBECTL_ADDS <= ANNOTATIONS_LIMIT
