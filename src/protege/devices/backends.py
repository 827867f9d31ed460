"""Which of the systems' backends presses and hears keys, and hears the mouse, here."""

import sys

from protege.devices.keys import Hook, Presser, Put
from protege.devices.mouse import MouseHook
from protege.devices.moving import Mover, PutMouse


def open_presser() -> Presser:
    """This system's presser. UserError without a display, MissingExtra without the library."""
    if sys.platform == "linux":
        from protege.devices.x11_keys import XKeyboard

        return XKeyboard()
    if sys.platform == "win32":
        from protege.devices.win32_keys import Win32Presser  # pyright: ignore[reportMissingImports]

        return Win32Presser()
    from protege.devices.mac_keys import MacPresser

    return MacPresser()


def open_mover(presser: Presser) -> Mover:
    """This system's mouse, whose motion and presses are told from a person's together with the presser's keys."""
    if sys.platform == "linux":
        from protege.devices.x11_keys import XKeyboard
        from protege.devices.x11_moving import XMover

        assert isinstance(presser, XKeyboard)
        return XMover(presser)
    if sys.platform == "win32":
        from protege.devices.win32_keys import Win32Presser  # pyright: ignore[reportMissingImports]
        from protege.devices.win32_moving import Win32Mover  # pyright: ignore[reportMissingImports]

        assert isinstance(presser, Win32Presser)
        return Win32Mover(presser.mark)
    from protege.devices.mac_moving import MacMover

    return MacMover()


def open_hook(put: Put, own: Presser | None = None, mouse: PutMouse | None = None) -> Hook:
    """This system's hook. own: the presser whose keys are reported as own; mouse: gets what the mouse does, which is
    not heard without. Errors as for `open_presser`.
    """
    if sys.platform == "linux":
        from protege.devices.x11_keys import XHook, XKeyboard

        assert own is None or isinstance(own, XKeyboard)
        return XHook(put, own, mouse)
    if sys.platform == "win32":
        from protege.devices.win32_keys import Win32Hook  # pyright: ignore[reportMissingImports]

        return Win32Hook(put, own, mouse)
    from protege.devices.mac_keys import MacHook

    return MacHook(put, own, mouse)


def open_mouse(put: Put, motion: bool) -> MouseHook:
    """This system's hook of the mouse. put: gets buttons and wheel; motion: whether that is heard, too. Errors as for
    `open_hook`.
    """
    if sys.platform == "linux":
        from protege.devices.x11_mouse import XMouseHook

        return XMouseHook(put, motion)
    if sys.platform == "win32":
        from protege.devices.win32_mouse import Win32MouseHook  # pyright: ignore[reportMissingImports]

        return Win32MouseHook(put, motion)
    from protege.devices.mac_mouse import MacMouseHook

    return MacMouseHook(put, motion)
