"""Opens a regular file for reading, and refuses symlinks, devices and pipes anywhere on the way to it."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from zoo.errors import ZooError


def open_plain(path: Path, inside: int | None = None, shown: Path | None = None) -> BinaryIO:
    """Opens a regular file for reading, never through a symlink, and never a device or a pipe.

    inside  the open folder that the path is relative to
    shown   the path for messages
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    except OSError as error:
        if error.errno == errno.ELOOP:  # the last part is a symlink
            raise ZooError(f"{shown or path}: is a symlink; copy the file itself into the folder.") from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ZooError(f"{shown or path}: is not a regular file; only plain files may enter the zoo.")
    return os.fdopen(handle, "rb")


def open_inside(folder: Path, relative: str) -> BinaryIO:
    """Opens a regular file below a folder, part by part, so that no part of the path can be a symlink."""
    *folders, name = relative.split("/")
    current = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in folders:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=current)
            os.close(current)
            current = inner
        return open_plain(Path(name), current, folder / relative)
    except NotADirectoryError:
        raise ZooError(f"{folder / relative}: a part of the path is a symlink; copy the folder itself.") from None
    finally:
        os.close(current)
