import threading
import time

from chatwright.core.channel import Channel
from chatwright.wrap.gguf.gate import Gate


def visited(gate):
    """Have eight threads come, one after the other; return their order inside, and how many met."""
    order, inside, most = [], [], []
    all_came = threading.Event()

    def visit(number):
        with gate.place(Channel(), None) as admitted:
            assert admitted
            order.append(number)
            inside.append(number)
            most.append(len(inside))
            all_came.wait(10)
            time.sleep(0.01)
            inside.remove(number)

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(8)]
    for came, thread in enumerate(threads, 1):
        thread.start()
        while len(order) + gate.queue_size < came:
            time.sleep(0.001)
    waiting = gate.queue_size
    all_came.set()
    for thread in threads:
        thread.join()
    assert gate.queue_size == 0
    return order, waiting, max(most)


def test_first_come_first_served():
    assert visited(Gate(1)) == (list(range(8)), 7, 1)


def test_so_many_are_let_in_and_no_more():
    order, waiting, most = visited(Gate(3))
    assert sorted(order) == list(range(8))
    assert (waiting, most) == (5, 3)


def test_who_waits_may_leave_and_loses_nobody_a_place():
    gate, channel = Gate(1), Channel()
    with gate.place(Channel(), None):
        threading.Timer(0.05, channel.close).start()
        with gate.place(channel, None) as admitted:
            assert not admitted
        with gate.place(Channel(), time.monotonic() + 0.05) as admitted:
            assert not admitted
    with gate.place(Channel(), None) as admitted:
        assert admitted
