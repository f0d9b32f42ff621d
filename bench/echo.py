"""A ping of ours against a bare UDP echo: what the node adds to the socket calls nobody can avoid."""

from random import Random

from bench.bare_loop import drive
from bench.processes import Child, free_port, own_child
from bench.raw_client import Crowd
from bench.report import Report, p50
from dna_dht.wire import encode as write

TARGET = 4.0  # CPU of a ping over CPU of an echo
ROUNDS = 7
REQUESTS = 4000  # per round and server
WINDOW = 16


async def run(report: Report) -> None:
    """Alternate between both servers, so that whatever disturbs the machine disturbs both."""
    rng = Random(1)
    async with Child("-m", "bench.echo_server") as echo, own_child() as own:
        bare = ("127.0.0.1", (await echo.call("port"))["port"])
        node = ("127.0.0.1", free_port())
        await own.call("start", port=node[1], unlimited=True)
        crowd = Crowd(node, rng)
        crowd.introduce()
        costs: dict[str, list[float]] = {"echo": [], "ping": []}
        for _ in range(ROUNDS):
            pings = [write.ping(rng.getrandbits(32), rng.randbytes(20), client=True) for _ in range(REQUESTS)]
            before = echo.cpu()
            answered = drive(bare, pings, WINDOW, echo=True)
            costs["echo"].append((echo.cpu() - before) / answered)
            before = own.cpu()
            answered = drive(node, pings, WINDOW)
            costs["ping"].append((own.cpu() - before) / answered)
        crowd.close()
    ping, one = p50(costs["ping"]), p50(costs["echo"])
    note = f"{ping * 1e6:.1f} us / {one * 1e6:.1f} us of the server's CPU"
    report.add("node.ping_per_echo", ping / one, "x_bare_echo", ROUNDS * REQUESTS, most=TARGET, note=note)
