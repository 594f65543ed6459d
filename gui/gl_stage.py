"""Show frames at the refreshes of a display: Show -> flips of OpenGL's buffers and their times.

A flip's time is read right after the swap of buffers has returned and the graphics card has finished what it was given
after it, which it can only do once the swap is done: the first instant at which a program knows that the flip was. The
light comes later by what the display takes (its offset, constant, a few to some tens of milliseconds), which only a
photodiode can tell; a compositor may add a whole refresh. Where the swap waits for nothing, the stamps say no more than
when a frame was drawn; `necomimi.gui.presenter_window` finds that out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from pyqtgraph.Qt import QT_LIB, QtCore

from .flips import BLANK, Frame
from .stage import Diode, Stage

__all__ = ["GLStage"]

QtOpenGL = importlib.import_module(f"{QT_LIB}.QtOpenGL")
COLOR_BUFFER, SCISSOR = 0x4000, 0x0C11  # as OpenGL numbers them


class GLStage(Stage, QtOpenGL.QOpenGLWindow):  # type: ignore[name-defined]  # the module is known at run time
    """A window whose every frame is a swap of OpenGL's buffers."""

    def __init__(self, background: Any, diode: Diode | None, clock: Callable[[], float]) -> None:
        QtOpenGL.QOpenGLWindow.__init__(self)
        self.prepare(background, diode, clock)
        self._gl: Any = None
        self._textures: dict[int, tuple[Any, Any]] = {}  # with the matrix that puts it into the middle
        self.frameSwapped.connect(self._swapped)

    def initializeGL(self) -> None:
        """Fetch the functions of OpenGL 2.1, which every desktop has."""
        profile = QtOpenGL.QOpenGLVersionProfile()
        profile.setVersion(2, 1)
        self._gl = QtOpenGL.QOpenGLVersionFunctionsFactory.get(profile, self.context())
        self._blitter = QtOpenGL.QOpenGLTextureBlitter()
        self._blitter.create()

    @property
    def is_ready(self) -> bool:
        """Whether OpenGL can be drawn with."""
        return self._gl is not None

    def upload(self, key: int, image: Any) -> None:
        """Give an image to the graphics card."""
        self.forget(key)
        self.makeCurrent()
        texture = QtOpenGL.QOpenGLTexture(image, QtOpenGL.QOpenGLTexture.MipMapGeneration.DontGenerateMipMaps)
        texture.setMinMagFilters(QtOpenGL.QOpenGLTexture.Filter.Nearest, QtOpenGL.QOpenGLTexture.Filter.Nearest)
        width, height = self.pixels()
        left, top = (width - image.width()) // 2, (height - image.height()) // 2
        place = QtCore.QRectF(left, top, image.width(), image.height())
        matrix = self._blitter.targetTransform(place, QtCore.QRect(0, 0, width, height))
        self._textures[key] = texture, matrix

    def forget(self, key: int) -> None:
        """Take an image from the graphics card."""
        if key in self._textures:
            self.makeCurrent()
            self._textures.pop(key)[0].destroy()

    def _begin(self) -> None:
        self.update()

    def paintGL(self) -> None:
        """Draw the frame that is next."""
        gl = self._gl
        if gl is None:
            return
        frame = Frame(BLANK, False) if self._show is None else self._show.next_frame()
        self._fill(self.background.redF(), self.background.greenF(), self.background.blueF())
        drawn = self._textures.get(frame.image)
        if drawn is not None:
            self._blitter.bind()
            self._blitter.blit(drawn[0].textureId(), drawn[1], QtOpenGL.QOpenGLTextureBlitter.Origin.OriginTopLeft)
            self._blitter.release()
        if self.diode is not None:
            width, height = self.pixels()
            left, top, wide, tall = self.diode.rect(width, height)
            self._fill(*3 * (float(frame.diode),), (left, height - top - tall, wide, tall))

    def _fill(self, red: float, green: float, blue: float, rect: tuple[int, int, int, int] | None = None) -> None:
        """Fill the whole frame, or a rectangle counted from the bottom, with a colour."""
        gl = self._gl
        if rect is not None:
            gl.glEnable(SCISSOR)
            gl.glScissor(*rect)
        gl.glClearColor(red, green, blue, 1.0)
        gl.glClear(COLOR_BUFFER)
        if rect is not None:
            gl.glDisable(SCISSOR)

    def _swapped(self) -> None:
        """Wait until the swap is done, take its time, and ask for the next frame."""
        if self._gl is not None and self._show is not None:
            # A driver may queue the swap and return at once. What is drawn after it has to wait for the new back
            # buffer, and so has glFinish.
            self._fill(0.0, 0.0, 0.0, (0, 0, 1, 1))
            self._gl.glFinish()
        if self._flipped():
            self.update()
