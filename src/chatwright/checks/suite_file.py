"""What pytest is given to collect: langchain-tests' suites for the model of the run under way."""

from chatwright.checks.suites import classes

globals().update(classes)
