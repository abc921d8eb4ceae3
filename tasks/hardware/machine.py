"""What is known of the machine that measures."""

import os
import platform
import socket
from collections.abc import Mapping
from pathlib import Path

from models.cores import usable_cores
from models.sections import Section
from tasks.scoring.execution import SUFFIX, available_providers

PROVIDERS: Mapping[str, str] = {
    "CPUExecutionProvider": "processor",
    "CUDAExecutionProvider": "NVIDIA, CUDA",
    "TensorrtExecutionProvider": "NVIDIA, TensorRT",
    "OpenVINOExecutionProvider": "Intel, OpenVINO",
    "DmlExecutionProvider": "Windows, DirectML",
    "CoreMLExecutionProvider": "Apple, CoreML",
    "QNNExecutionProvider": "Qualcomm, QNN",
    "MIGraphXExecutionProvider": "AMD, MIGraphX",
    "VitisAIExecutionProvider": "AMD, Vitis AI",
}
"""Those that people ask for, whether or not they are there."""
ELSEWHERE = {"AzureExecutionProvider": "it calls a service elsewhere, and runs nothing on this machine"}
"""Providers that can't be measured, and why."""


class Machine(Section):
    """A machine that measures, as results tell of it."""

    name: str
    processor: str
    cores: int
    """That may be used."""
    memory_gb: float
    system: str
    onnxruntime: str
    """Its release."""
    busy: float = 0.0
    """Load of the minute before over the cores: processes that ran, or waited to, for each of them."""


def this_machine(name: str | None = None) -> Machine:
    """The machine that this process runs on, by the name or that of the host."""
    import onnxruntime
    import psutil

    return Machine(
        name=name or socket.gethostname(),
        processor=_processor() or platform.machine(),
        cores=usable_cores(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        onnxruntime=str(onnxruntime.__version__),
        busy=round(os.getloadavg()[0] / usable_cores(), 2),
    )


def _processor() -> str:
    return _of_cpu("model name", "CPU part")


def _of_cpu(*keys: str) -> str:
    """What Linux says of the first core under one of the keys; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return next((value.strip() for key, value in pairs if key.strip() in keys), "")


def absent_providers() -> dict[str, str]:
    """Providers that are not measured, and why: not in this build of ONNX Runtime, or nothing to measure."""
    known = available_providers()
    missing = {name: "not in this build of onnxruntime" for name in PROVIDERS if name not in known}
    return missing | {name: why for name, why in ELSEWHERE.items() if name in known}


def present_providers() -> list[str]:
    """Providers that this build of ONNX Runtime has and that may run a graph here; the CPU first."""
    known = [name for name in available_providers() if name not in ELSEWHERE]
    return sorted(known, key=lambda name: name != "CPUExecutionProvider")


def short(provider: str) -> str:
    """The provider's name without its ending."""
    return provider.removesuffix(SUFFIX)
