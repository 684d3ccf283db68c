"""Rules that choose quantizers for the places of a model."""

import difflib
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from qat.enums import Site

#: Choices of a rule for ReLU-like functions.
ACTIVATION_CHOICES = ("keep", "identity", "hardtanh")
#: Choices of a rule for additions.
ADD_GRIDS = ("shared", "own")


@dataclass(frozen=True)
class QuantizerChoice:
    """A ready-made quantizer by name with attributes that replace its own.

    Without a name: the one chosen by an earlier rule, with these attributes replaced.
    """

    quantizer: str | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerMatch:
    """Which places a rule speaks of; every condition given must hold, none matches everything.

    Args:
        module_type: name of the float module's class (``"Conv2d"``), or of a function (``"add"``).
        name: dotted name of the module, with ``*`` and ``?`` as in file names.
        position: ``"first"`` or ``"last"`` layer with a weight, in the order of execution.
    """

    module_type: str | None = None
    name: str | None = None
    position: str | None = None

    def __post_init__(self) -> None:
        if self.position not in (None, "first", "last"):
            raise ValueError(f"position is {self.position!r}; choose 'first' or 'last'.")

    def __str__(self) -> str:
        given = {"type": self.module_type, "name": self.name, "position": self.position}
        return ", ".join(f"{key} {item!r}" for key, item in given.items() if item is not None)


@dataclass(frozen=True)
class Rule:
    """Quantizers for the places that ``match``; a later rule wins over an earlier one.

    Args:
        label: how messages call the rule.
        match: the places it speaks of.
        choices: quantizer per site; None leaves that site in float, an absent one as it was.
        activation_function: ``"keep"``, or what ReLU-like functions become: ``"identity"`` or
            ``"hardtanh"``. None leaves it as it was.
        optional: whether it is fine that nothing matches.
        add_grid: ``"shared"``, one grid for both operands of an addition, or ``"own"``: each tensor
            on one grid of its own, an operand where it is on none, and the sum where a layer or
            another sum reads it. None leaves it as it was.
    """

    label: str
    match: LayerMatch
    choices: Mapping[Site, QuantizerChoice | None]
    activation_function: str | None = None
    optional: bool = False
    add_grid: str | None = None

    def __post_init__(self) -> None:
        if self.add_grid not in (None, *ADD_GRIDS):
            raise ValueError(
                f"{self.label}: add_grid is {self.add_grid!r}; "
                f"choose one of {', '.join(map(repr, ADD_GRIDS))}."
            )
        if self.activation_function not in (None, *ACTIVATION_CHOICES):
            raise ValueError(
                f"{self.label}: activation_function is {self.activation_function!r}; "
                f"choose one of {', '.join(map(repr, ACTIVATION_CHOICES))}."
            )


@dataclass(frozen=True)
class Location:
    """A place in a model that a rule can speak of.

    Args:
        name: dotted name, of the module or made up from the module around a function call.
        module_type: class of the module or name of the function.
        sites: where quantizers can sit there.
        is_first, is_last: whether it is the first or last layer with a weight.
        by_request: whether only rules speak of it that have its type, or its very name.
        is_stream: whether it is a sum that carries a residual stream past a norm, of which only
            rules with a type or a name speak.
        is_factor: whether it is an activation function that only products read, which only a rule
            with its name puts on a grid.
    """

    name: str
    module_type: str
    sites: frozenset[Site]
    is_first: bool = False
    is_last: bool = False
    by_request: bool = False
    is_stream: bool = False
    is_factor: bool = False


@dataclass(frozen=True)
class Decision:
    """The choice of the rules for one location.

    Args:
        choices: quantizer per site; None leaves it in float.
        activation_function, add_grid: as in :class:`Rule`.
        named: the sites that a rule with a name spoke of.
    """

    choices: Mapping[Site, QuantizerChoice | None]
    activation_function: str
    add_grid: str = "shared"
    named: frozenset[Site] = frozenset()

    def choice(self, site: Site) -> QuantizerChoice | None:
        return self.choices.get(site)


class UnmatchedRuleError(ValueError):
    """A rule speaks of no layer of the model."""


def decide(rules: Sequence[Rule], locations: Sequence[Location]) -> dict[str, Decision]:
    """The decision for each location, by its name.

    Raises:
        UnmatchedRuleError: a rule that is not optional matches no location at a site it names.
        ValueError: a rule changes the quantizer of a site that has none.
    """
    decisions = {location.name: Decision({}, "keep") for location in locations}
    for rule in rules:
        matched = [location for location in locations if _matches(rule, location)]
        passed_by = any(location.is_stream and _speaks_of(rule, location) for location in locations)
        if not matched and not passed_by and not rule.optional and _says_something(rule):
            raise UnmatchedRuleError(_unmatched(rule, locations))
        for location in matched:
            decisions[location.name] = _apply(rule, location, decisions[location.name])
        if rule.add_grid is not None and str(rule.match) == "":  # of streams too, once one is named
            for name, decision in decisions.items():
                decisions[name] = replace(decision, add_grid=rule.add_grid)
    return decisions


def _says_something(rule: Rule) -> bool:
    chosen = any(choice is not None for choice in rule.choices.values())
    return chosen or str(rule.match) != ""


def _matches(rule: Rule, location: Location) -> bool:
    match = rule.match
    asked_for = location.module_type == match.module_type or location.name == match.name
    if location.by_request and not asked_for:
        return False
    if location.is_stream and match.module_type is None and match.name is None:
        return False
    if match.module_type is not None and match.module_type != location.module_type:
        return False
    if match.name is not None and not fnmatch.fnmatchcase(location.name, match.name):
        return False
    if match.position is not None and not (
        location.is_first if match.position == "first" else location.is_last
    ):
        return False
    return _speaks_of(rule, location)


def _speaks_of(rule: Rule, location: Location) -> bool:
    relevant = set(rule.choices)
    if rule.activation_function is not None:
        relevant.add(Site.ACTIVATION)
    if rule.add_grid is not None:
        relevant.add(Site.ADD)
    return bool(relevant & location.sites)


def _apply(rule: Rule, location: Location, decision: Decision) -> Decision:
    choices = dict(decision.choices)
    for site, choice in rule.choices.items():
        if site in location.sites:
            choices[site] = _merged(rule, location, site, choices.get(site), choice)
    function = rule.activation_function or decision.activation_function
    by_name = location.sites & set(rule.choices) if rule.match.name is not None else frozenset()
    add_grid = rule.add_grid or decision.add_grid
    return Decision(choices, function, add_grid, decision.named | by_name)


def _merged(
    rule: Rule,
    location: Location,
    site: Site,
    before: QuantizerChoice | None,
    choice: QuantizerChoice | None,
) -> QuantizerChoice | None:
    if choice is None or choice.quantizer is not None:
        return choice
    if before is None:
        raise ValueError(
            f"{rule.label}.{site.value} changes {', '.join(choice.overrides)} of the {site.value} "
            f"quantizer of {location.name!r}, which has none; name one with 'quantizer'."
        )
    return replace(before, overrides={**before.overrides, **choice.overrides})


def _unmatched(rule: Rule, locations: Sequence[Location]) -> str:
    if not locations:
        return (
            f"{rule.label} ({rule.match or 'everything'}) finds nothing to quantize: the model has "
            "no layer with a weight, no activation function and no addition that is known."
        )
    locations = [location for location in locations if _speaks_of(rule, location)] or locations
    names = [location.name for location in locations]
    types = sorted({location.module_type for location in locations})
    wanted = rule.match.name or rule.match.module_type or ""
    near = difflib.get_close_matches(wanted, [*names, *types], n=3, cutoff=0.4)
    shown = names if len(names) <= 12 else [*names[:6], "...", *names[-5:]]
    sites = ", ".join(sorted(site.value for site in rule.choices))
    text = f"{rule.label} ({rule.match or 'everything'}) matches no layer of the model"
    text += f" that has {sites}" if sites else ""
    text += f"; the nearest are {', '.join(near)}" if near else ""
    return f"{text}. Layers: {', '.join(shown)}. Types: {', '.join(types)}."
