"""From grabbed pictures to JPEG files, off the capture thread, behind a queue that never blocks the game."""

import queue
import threading
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protege.core.frame import JPEG_QUALITY
from protege.core.session import SessionWriter
from protege.errors import MissingExtra, ProtegeError

QUEUE_FRAMES: Final = 8
"""Frames that may wait: 0.8 s at 10 Hz; more would only hide a disk that is too slow."""


def encode_bgra(bgra: NDArray[np.uint8], size: tuple[int, int]) -> bytes:
    """JPEG bytes of an (H, W, 4) screen picture, resized to (width, height) if it is another size."""
    import cv2

    picture = cv2.cvtColor(bgra, cv2.COLOR_BGRA2BGR)  # first: resizing three channels is cheaper than four
    if (picture.shape[1], picture.shape[0]) != size:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


class FramePipeline:
    """Encodes and writes frames in a thread of its own; what does not fit in the queue is dropped and counted."""

    def __init__(self, writer: SessionWriter, size: tuple[int, int]) -> None:
        try:
            import cv2
        except ImportError:
            raise MissingExtra("opencv-python-headless", "record") from None
        # OpenCV would spread a millisecond's work over all cores, which are the game's.
        cv2.setNumThreads(1)
        self.dropped = 0
        self.written = 0
        self.error: ProtegeError | None = None
        self._writer = writer
        self._size = size
        self._queue: queue.Queue[tuple[NDArray[np.uint8], int] | None] = queue.Queue(QUEUE_FRAMES)
        self._thread = threading.Thread(target=self._work, name="frames", daemon=True)
        self._thread.start()

    def put(self, bgra: NDArray[np.uint8], t_ns: int) -> None:
        """Hand over a frame; never waits."""
        try:
            self._queue.put_nowait((bgra, t_ns))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what is waiting and end the thread."""
        while self._thread.is_alive():
            try:
                # A thread that ended by an error takes nothing any more: waiting without end for room would hang.
                self._queue.put(None, timeout=0.1)
                break
            except queue.Full:
                continue
        self._thread.join()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            bgra, t_ns = item
            try:
                self._writer.frame(t_ns, encode_bgra(bgra, self._size))
                self.written += 1
            except OSError as error:
                self.error = ProtegeError(f"{self._writer.folder}: cannot write ({error.strerror}); recording ended")
                return
            except Exception as error:  # a thread that dies unseen would leave a recording without pictures
                self.error = ProtegeError(f"{self._writer.folder}: cannot store a picture ({error}); recording ended")
                return
