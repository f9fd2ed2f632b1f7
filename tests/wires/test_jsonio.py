"""JSON to and from bytes: what comes back is what went in."""

from hypothesis import given
from hypothesis import strategies as st

from chatwright.wires import jsonio

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_a_value_comes_back_as_it_was(value):
    written = jsonio.dumps(value)
    assert jsonio.loads(written) == value
    assert jsonio.loads(written.decode()) == value


def test_whole_numbers_of_more_than_64_bits_stay_whole():
    told = (
        b'{"id": 18446744073709551616, "less": -9223372036854775809, "part": 0.12345678901234567}'
    )
    assert jsonio.loads(told) == {
        "id": 2**64,
        "less": -(2**63) - 1,
        "part": 0.12345678901234567,
    }
