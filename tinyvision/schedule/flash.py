"""Which kernels a board's flash has room for: fast ones may keep their weights in a larger form."""

from __future__ import annotations

from dataclasses import replace

from tinyvision.schedule.problem import Job, Problem

FIRMWARE_CODE_BYTES = 16 * 1024
"""Room that is left for the code of the firmware around the model."""
KERNEL_CODE_BYTES = 1280
"""And for that of one operator; networks of 10 to 60 operators come out at 900 to 1,200."""


def within_flash(problem: Problem, flash_bytes: int) -> Problem:
    """``problem`` without the kernels whose constants would not fit, whatever else is chosen.

    Operators with few multiplications for the bytes they save give up their large kernels first,
    because they lose least speed. If nothing fits, every operator keeps its smallest kernels.
    """
    largest = [max(kernel.flash_bytes for kernel in job.kernels) for job in problem.jobs]
    smallest = [min(kernel.flash_bytes for kernel in job.kernels) for job in problem.jobs]
    saved = [big - small for big, small in zip(largest, smallest, strict=True)]
    code = FIRMWARE_CODE_BYTES + KERNEL_CODE_BYTES * len(problem.jobs)
    excess = sum(largest) + code - flash_bytes
    jobs = list(problem.jobs)
    for index in sorted(range(len(jobs)), key=lambda i: -saved[i] / (jobs[i].macs + 1)):
        if excess <= 0 or not saved[index]:
            break
        jobs[index] = _smallest(jobs[index], smallest[index])
        excess -= saved[index]
    return replace(problem, jobs=tuple(jobs))


def _smallest(job: Job, flash_bytes: int) -> Job:
    kernels = tuple(kernel for kernel in job.kernels if kernel.flash_bytes == flash_bytes)
    return replace(job, kernels=kernels)
