"""An Answer to frames: RESPONSE with the first bytes, BODY for the rest as the host grants credit; or ERROR.

Invariant: each invocation is ended by exactly one last frame, with its logs and STATS before it, and no more than
CREDIT_WINDOW ungranted bytes are ever on the way. The head of a streamed answer leaves with its first chunk (which may
be empty), so what goes wrong before that is still a clean error. Called by workers.py.
"""

from . import frames
from .answer import Answer, chunk_of
from .failures import BadResponse, guest_error
from .invocation import Cancelled

_DONE = object()


class Reply:
    def __init__(self, channel, gate, peak_memory, on_end):
        self._channel = channel
        self._gate = gate
        self._peak_memory = peak_memory
        self._on_end = on_end

    def send(self, invocation, answer):
        """On a worker thread: blocks while there is no credit."""
        body = answer.body
        if type(body) is bytes:
            if len(body) <= frames.BODY_CHUNK_MAX:
                return self._whole(invocation, answer)
            return self._send_chunk(invocation, answer, body, True)
        try:
            for chunk in body:
                self._send_chunk(invocation, answer, chunk_of(chunk), False)
        finally:
            if hasattr(body, "close"):
                body.close()
        self._end(invocation, answer)

    async def send_async(self, invocation, answer):
        """On the event loop: awaits credit."""
        body = answer.body
        if type(body) is bytes:
            if len(body) <= frames.BODY_CHUNK_MAX:
                return self._whole(invocation, answer)
            return await self._send_chunk_async(invocation, answer, body, True)
        chunks = body if hasattr(body, "__anext__") else _in_threads(body)
        try:
            async for chunk in chunks:
                await self._send_chunk_async(invocation, answer, chunk_of(chunk), False)
        finally:
            if hasattr(chunks, "aclose"):
                await chunks.aclose()
        self._end(invocation, answer)

    def fail(self, invocation, error):
        """Ends the invocation with ERROR."""
        if isinstance(error, Cancelled):
            value = {"name": "Cancelled", "message": "nobody waits for the answer", "stack": ""}
        else:
            value = guest_error(error)
        payload = frames.to_json(value).encode()
        self._last(invocation, frames.header(frames.ERROR, len(payload), invocation.stream, 0, invocation.elapsed_us()), payload)

    def _whole(self, invocation, answer):
        invocation.take_credit(len(answer.body))
        self._last(invocation, *self._frame(invocation, answer, answer.body, frames.END))

    def _end(self, invocation, answer):
        if invocation.headed:
            self._last(invocation, *self._frame(invocation, answer, b"", frames.END))
        else:
            self._whole(invocation, Answer(answer.status, answer.headers, b""))

    def _send_chunk(self, invocation, answer, chunk, last):
        rest = self._send_some(invocation, answer, memoryview(chunk), last)
        while rest:
            invocation.wait_for_credit()
            rest = self._send_some(invocation, answer, rest, last)

    async def _send_chunk_async(self, invocation, answer, chunk, last):
        import asyncio

        rest = self._send_some(invocation, answer, memoryview(chunk), last)
        while rest:
            loop = asyncio.get_running_loop()
            gate = asyncio.Event()
            invocation.when_credited(lambda: loop.call_soon_threadsafe(gate.set))
            await gate.wait()
            rest = self._send_some(invocation, answer, rest, last)

    def _send_some(self, invocation, answer, view, last):
        """Sends what credit allows; what is left of the view. An empty view sends the head, if that is still to go."""
        while True:
            taken = invocation.take_credit(min(len(view), frames.BODY_CHUNK_MAX))
            if taken == 0 and (len(view) > 0 or invocation.headed):
                return view
            piece, view = view[:taken], view[taken:]
            if last and not view:
                self._last(invocation, *self._frame(invocation, answer, piece, frames.END))
                return view
            self._channel.send(*self._frame(invocation, answer, piece, 0))
            if not view:
                return view

    def _frame(self, invocation, answer, piece, flags):
        """The next frame of the answer, in parts: the RESPONSE first, then BODY."""
        elapsed_us = invocation.elapsed_us() if flags else 0
        if invocation.headed:
            return frames.header(frames.BODY, len(piece), invocation.stream, flags, elapsed_us), piece
        prefix = frames.meta_prefix(answer.status, answer.headers)
        length = len(prefix) + len(piece)
        if length > frames.FRAME_PAYLOAD_MAX:
            raise BadResponse("the headers have %d bytes, far more than HTTP can carry" % len(prefix))
        invocation.headed = True
        return frames.header(frames.RESPONSE, length, invocation.stream, flags, elapsed_us), prefix, piece

    def _last(self, invocation, *frame):
        self._gate.settle(invocation)
        invocation.ended = True
        self._on_end(invocation)
        peak_kib = self._peak_memory.grown()
        if peak_kib:
            self._channel.send(frames.header(frames.STATS, 0, 0, 0, peak_kib), *frame)
        else:
            self._channel.send(*frame)


async def _in_threads(chunks):
    """An iterator that may block, read without stalling the event loop."""
    import asyncio

    try:
        while True:
            chunk = await asyncio.to_thread(next, chunks, _DONE)
            if chunk is _DONE:
                return
            yield chunk
    finally:
        if hasattr(chunks, "close"):
            await asyncio.to_thread(chunks.close)
