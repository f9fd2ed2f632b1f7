"""How many replicas fit where, and what is said where they do not."""

import pytest

from chatwright import Scale

MACHINES = [{"CPU": 2.0}, {"CPU": 3.0, "GPU": 1.0}, {"memory": 1.0}]
FREE = {"CPU": 5.0, "GPU": 1.0}


@pytest.mark.parametrize(
    ("fields", "fitting"),
    [
        ({"cpus": 1}, 5),
        ({"cpus": 2}, 2),
        ({"cpus": 4}, 0),
        ({"cpus": 0.1}, 50),
        ({"cpus": 1, "gpus": 0.5}, 2),
        ({"cpus": 0}, float("inf")),
    ],
)
def test_replicas_fit_onto_machines_not_into_sums(fields, fitting):
    assert Scale(**fields).fitting(MACHINES) == fitting


@pytest.mark.parametrize(
    ("fields", "count", "lack"),
    [
        ({"cpus": 1}, 5, ""),
        ({"cpus": 0}, 99, ""),
        ({"cpus": 4}, 1, "a replica needs 4 CPUs; a machine of the cluster has 3 CPUs at most"),
        (
            {"gpus": 2},
            1,
            "a replica needs 2 GPUs; a machine of the cluster has 1 GPU at most",
        ),
        ({"cpus": 1}, 6, "6 replicas need 6 CPUs; the cluster has 5 CPUs, 5 of it free"),
        ({"cpus": 1, "gpus": 1}, 2, "2 replicas need 2 GPUs; the cluster has 1 GPU, 1 of it free"),
        (
            {"cpus": 1.6},
            3,
            "3 replicas need 1.6 CPUs each; so many do not fit onto the machines",
        ),
    ],
)
def test_what_lacks_is_told(fields, count, lack):
    assert Scale(**fields).lack(count, MACHINES, FREE) == lack


def test_what_others_hold_is_not_free():
    told = Scale(cpus=1).lack(2, MACHINES, {"CPU": 1.0})
    assert told == "2 replicas need 2 CPUs; the cluster has 5 CPUs, 1 of it free"
    assert Scale(cpus=1).lack(1, [], {}) == (
        "a replica needs 1 CPU; a machine of the cluster has 0 CPUs at most"
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"cpus": 1}, "1 replica of a, b, with 1 CPU each; the cluster has 5 CPUs"),
        (
            {"least": 0, "most": 4, "cpus": 2, "gpus": 1},
            "0 to 4 replicas of a, b, with 2 CPUs and 1 GPU each; the cluster has 5 CPUs and 1 GPU",
        ),
        ({"cpus": 0}, "1 replica of a, b, without a CPU of their own; the cluster has 5 CPUs"),
    ],
)
def test_what_is_needed_is_told(fields, told):
    assert Scale(**fields).summary(["a", "b"], MACHINES) == told


def test_how_many_requests_a_replica_should_have():
    assert Scale().target is None
    assert Scale(ongoing=8).target == 8
    assert Scale(most=2).target == 4
    assert Scale(most=2, ongoing=8).target == 8


@pytest.mark.parametrize(("least", "most"), [(2, 1), (-1, 1), (0, 0)])
def test_numbers_that_make_no_sense(least, most):
    with pytest.raises(ValueError, match="are not a least and a most"):
        Scale(least=least, most=most)
