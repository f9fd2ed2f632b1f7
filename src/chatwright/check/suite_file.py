"""What pytest is given to collect: langchain-tests' suites for the model of the run under way."""

from chatwright.check.suites import classes

globals().update(classes)
