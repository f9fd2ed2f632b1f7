"""LangChain's own standard tests are one group of the check."""

from chatwright import chat_model, check

shout = chat_model(lambda messages: messages[-1].text.upper())

if __name__ == "__main__":
    report = check(shout, only=["B1"], langchain_tests=True)
    suites = [each for each in report.findings if each.section == "langchain-tests"]
    assert len(suites) > 20, [(each.rule, each.got) for each in report.findings]
    assert not report.of("FAIL")
