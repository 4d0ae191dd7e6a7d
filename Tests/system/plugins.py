"""The plugins for brokers, built from their sources once for each process of tests."""

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from wsdaemon import REPOSITORY


@functools.cache
def plugin_directory():
    """Where the plugins are."""
    directory = Path(tempfile.mkdtemp(prefix="wsd-plugins-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    subprocess.run([REPOSITORY / "packaging" / "plugins", directory], check=True)
    return directory


def plugin_environment():
    """What tells a daemon where they are."""
    return {"WSD_PLUGIN_DIR": str(plugin_directory())}
