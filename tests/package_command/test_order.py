"""Which packages are missing, and in which order the others are stored."""

from fhir_server.package_command.adding import Order
from fhir_server.packages import Manifest, Package


def package(name: str, version: str = "1.0.0", **dependencies: str) -> Package:
    return Package(Manifest(name, version, "", "", ("4.0.1",), dependencies), (), ())


def names(order: Order) -> list[str]:
    return [each.manifest.name for each in order.packages]


def test_packages_come_after_what_they_stand_on() -> None:
    given = [package("c", b="1.0.0"), package("b", a="1.0.x"), package("a")]
    order = Order(given, {})
    assert (names(order), order.missing) == (["a", "b", "c"], {})


def test_circles_end() -> None:
    order = Order([package("a", b="1.0.0"), package("b", a="1.0.0")], {})
    assert (sorted(names(order)), order.missing) == (["a", "b"], {})


def test_missing_is_what_is_neither_given_nor_there() -> None:
    given = [package("a", x="2.0.0", y="1.0.0"), package("b", x="2.0.0")]
    order = Order(given, {"y": {"1.0.0"}, "x": {"1.0.0"}})
    assert order.missing == {"x#2.0.0": ["a#1.0.0", "b#1.0.0"]}
