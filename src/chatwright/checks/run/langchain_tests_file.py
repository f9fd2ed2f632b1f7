"""What pytest is given to collect: langchain-tests' suites for the model of the run under way."""

from chatwright.checks.run.langchain_tests import classes

globals().update(classes)
