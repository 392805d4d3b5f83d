"""The code of the GPU's rows, tried on the CPU."""

import subprocess
import sys

import torch

from tests.benchmarks.gpu import failure_of, gpu_rows, least_work
from tests.benchmarks.stacks import DEMO


def test_rows_of_a_device() -> None:
    against, roofline = gpu_rows(1, torch.device("cpu"), DEMO, n_configs=1, steps=1)
    assert "stack of 5" in against.measure
    assert float(against.found) > 0
    assert roofline.ratio.endswith("%")
    assert "TFLOP/s" in roofline.measure


def test_least_work_by_hand() -> None:
    n_bytes, n_operations = least_work(DEMO, 1)
    weights = 384 * 64 + 2 * 64 * 64
    assert n_bytes == 40 * weights
    assert n_operations == 2 * (2 * 64 * 384 * 64) + 3 * (2 * 64 * 7 * 64 * 64)


def test_a_machine_without_a_compiler_has_the_plain_loop_as_its_peer() -> None:
    def compile_and_train() -> None:
        raise RuntimeError("Failed to find C compiler.\nPlease set CC.")

    assert failure_of(compile_and_train) == "RuntimeError: Failed to find C compiler."
    assert failure_of(lambda: None) == ""


def test_the_rows_of_a_gpu_need_no_ray_optuna_or_mlflow() -> None:
    code = (
        "import sys; import tests.benchmarks.__main__, tests.benchmarks.gpu; "
        "print(sorted({'ray', 'optuna', 'mlflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
