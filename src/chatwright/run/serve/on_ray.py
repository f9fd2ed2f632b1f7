"""Models that answer in replicas on a Ray cluster, and are served from here.

The server stays one process: keys, queue, kept responses, streams to resume and metrics are as
they are without Ray. What it has replicas do is what takes time: the answers.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage

from chatwright.core.loop import shared_loop
from chatwright.errors import MissingExtraError
from chatwright.langchain.model import ChatModel
from chatwright.run.conforming import Conforming
from chatwright.run.on_ray import connected, place
from chatwright.run.scale import Scale
from chatwright.run.serve.failures import Failure, HttpError, failure_of
from chatwright.run.serve.served import About, Answer, Local, Served
from chatwright.wires.prompt import Prompt

if TYPE_CHECKING:
    from chatwright.run.cluster import Cluster
    from chatwright.run.replicas import Deployments, Replicas

__all__ = ["replicated"]


@contextlib.contextmanager
def replicated(
    makers: Mapping[str, Callable[[int], ChatModel]],
    scale: Scale,
    *,
    name: str,
    address: str | None,
) -> Iterator[dict[str, Served]]:
    """Have models answer in replicas as long as the context lasts.

    Args:
        makers: Make the models, in a replica each; they are given how many threads may compute.
        scale: How many replicas each model has; without `cpus`, each is given an equal part of
            this machine's where Ray is started here, and 1 elsewhere.
        name: What the replicas' names in the cluster begin with.
        address: The cluster's; None to start one here.

    Yields:
        What can be asked of them, by their names.

    Raises:
        ClusterError: There is no cluster at the address, it can't give what is needed, or a model
            can't be loaded there.
        MissingExtraError: Ray is not installed, or not its Serve.
    """
    with connected(address, extras="ray,serve") as cluster, _deployments(cluster) as deployments:
        names = {label: f"{name}-{label}" for label in makers}
        deployments.remove(names.values(), scale.place_seconds)
        scale = place(cluster, scale, [*makers])
        threads = max(1, int(scale.cpus or 0))
        replicas = {
            label: deployments.deploy(
                names[label], label, partial(_Host, label, make, threads), scale
            )
            for label, make in makers.items()
        }
        deployments.ready()
        with shared_loop() as loop:
            abouts = {label: loop.run(_about(each)) for label, each in replicas.items()}
        yield {label: _Replicated(each, abouts[label]) for label, each in replicas.items()}


def _deployments(cluster: "Cluster") -> "contextlib.closing[Deployments]":
    try:
        from chatwright.run.replicas import Deployments  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "ray,serve") from error
    return contextlib.closing(Deployments(cluster))


class _Host:
    """A model, in a replica.

    Args:
        label: Its name.
        make: Makes it, of how many threads may compute.
        threads: How many.
    """

    def __init__(self, label: str, make: Callable[[int], ChatModel], threads: int) -> None:
        """Make it, and load what it computes with: a replica that is ready can answer."""
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        logging.getLogger("chatwright.serve").setLevel(logging.INFO)
        model = make(threads)
        if model.has_tokenizer():
            model.get_num_tokens(" ")
        self._model = Local(label, model)

    async def __call__(self, asked: str, *args: Any) -> AsyncGenerator[Any]:
        """Yield what is asked of the model; at the end a `Failure`, where it fails."""
        try:
            async with contextlib.aclosing(_ASKED[asked](self._model, *args)) as pieces:
                async for piece in pieces:
                    yield piece
        except Exception as error:  # noqa: BLE001  what it means to clients crosses processes
            yield failure_of(error)


async def _one(value: Awaitable[Any]) -> AsyncGenerator[Any]:
    yield await value


_ASKED: Mapping[str, Callable[..., AsyncGenerator[Any]]] = {
    "about": lambda model: _one(asyncio.to_thread(model.about)),
    "count": lambda model, *args: _one(model.count(*args)),
    "events": lambda model, prompt: model.events(prompt),
    "explained": lambda model, prompt: _one(model.explained(prompt)),
    "stream": lambda model, prompt: model.answer(prompt).stream(),
    "whole": lambda model, prompt: model.answer(prompt).whole(),
}


async def _asked(replicas: "Replicas", session: str | None, *asked: Any) -> AsyncGenerator[Any]:
    """Yield what a replica says.

    Raises:
        HttpError: The model has failed there.
    """
    async with contextlib.aclosing(replicas.ask(session, *asked)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Failure):
                raise HttpError(piece.status, piece.message, piece.retry_after, **piece.detail)
            yield piece


async def _about(replicas: "Replicas") -> About:
    about: About = await _first(_asked(replicas, None, "about"))
    return about


async def _first(pieces: AsyncGenerator[Any]) -> Any:
    async with contextlib.aclosing(pieces):
        return await anext(pieces)


class _Replicated(Served):
    """A model that answers in replicas.

    Args:
        replicas: They.
        about: What is told of the model.
    """

    def __init__(self, replicas: "Replicas", about: About) -> None:
        """Keep both."""
        self._replicas = replicas
        self._told = about

    def about(self) -> About:
        """Return what a replica has told of it."""
        return self._told

    def answer(self, prompt: Prompt, session: str | None = None) -> Answer:
        """Return an answer of the replica that has the session's prompts in its cache."""
        if prompt.response_format:
            Conforming(prompt.response_format)
        return _Answer(self._replicas, session or _beginning(prompt), prompt)

    def events(self, prompt: Prompt) -> AsyncGenerator[Mapping[str, Any]]:
        """Yield the events."""
        return _asked(self._replicas, _beginning(prompt), "events", prompt)

    async def explained(self, prompt: Prompt) -> Any:
        """Return what the source would be given in a replica."""
        return await _first(_asked(self._replicas, None, "explained", prompt))

    async def count(
        self, messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]]
    ) -> int:
        """Return what a replica counts."""
        counted: int = await _first(_asked(self._replicas, None, "count", messages, tools))
        return counted


class _Answer:
    """An answer that a replica makes.

    Args:
        replicas: Of the model.
        session: Whose it is.
        prompt: What is asked.
    """

    def __init__(self, replicas: "Replicas", session: str, prompt: Prompt) -> None:
        self._ask = partial(_asked, replicas, session)
        self._prompt = prompt

    def stream(self) -> AsyncGenerator[Any]:
        """Yield it as it comes."""
        return self._ask("stream", self._prompt)

    def whole(self) -> AsyncGenerator[Any]:
        """Yield it once it is whole."""
        return self._ask("whole", self._prompt)


def _beginning(prompt: Prompt) -> str:
    """Return what all turns of a conversation have in common: all up to its first question."""
    told = hashlib.blake2b(digest_size=16)
    for message in prompt.messages:
        told.update(f"{message.type}\0{message.content!r}\0".encode("utf-8", "surrogatepass"))
        if message.type == "human":
            break
    return told.hexdigest()
