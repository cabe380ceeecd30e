"""What the tests of the embedded data sets share."""

import os
import subprocess
import sys


def cpu_features() -> str:
    """What this numpy can switch off on this machine."""
    try:
        from numpy._core import _multiarray_umath as umath
    except ImportError:  # numpy 1.26
        from numpy.core import _multiarray_umath as umath
    return " ".join(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name))


def digests_without_cpu_features(package: str, images: int) -> list[str]:
    """Hashes of the first val images, drawn by a numpy that uses no special instructions."""
    code = (
        "from bench.datasets.manifest import digest\n"
        f"from {package}.scene import render\n"
        f"print(*(digest([render('val', i).arrays]) for i in range({images})))"
    )
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": cpu_features()}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()
