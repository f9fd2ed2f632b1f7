"""The corpus: models that break one rule each, by the sections of the contract."""

# Importing the sections registers their faults.
from faults import (  # noqa: F401
    asynchrony,
    basics,
    callbacks,
    endings,
    errors,
    found,
    parameters,
    refusals,
    secrecy,
    stop,
    streaming,
    structures,
    tools,
    usage,
    wild,
)
from faults.controls import CONTROLS
from faults.kit import FAULTS, Fault

__all__ = ["CONTROLS", "FAULTS", "Fault"]
