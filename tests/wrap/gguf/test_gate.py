import threading
import time

from chatwright.core.channel import Channel
from chatwright.wrap.gguf.gate import Gate


def test_so_many_are_let_in_and_the_rest_first_come_first_served():
    gate, order, inside, most = Gate(2), [], [], []

    def visit(number):
        with gate.place(Channel(), None) as admitted:
            assert admitted
            order.append(number)
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.02)
            inside.remove(number)

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
        time.sleep(0.002)
    assert gate.queue_size > 0
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    assert max(most) == 2
    assert gate.queue_size == 0


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
