"""The memory that a training variant takes, in a process of its own."""

import json
import subprocess

# Peaks are read after a few steps, growth between two counts of them.
FEW, EARLY, LATE = 5, 100, 600


def rows(model, variants, base, command):
    """Rows of peaks, beside that of the base, and of growth, beside the early size.

    Args:
        model: Name of an architecture.
        variants: Names of the variants, the base among them.
        base: Name of the variant that peaks are compared with.
        command: What measures a variant that `--memory_of` names, a list of strings.

    Yields:
        Dicts, rows of the table.
    """
    found = {}
    for variant in variants:
        given = [*command, f"--memory_of={model}:{variant}"]
        printed = subprocess.run(given, check=True, capture_output=True, text=True)
        found[variant] = json.loads(printed.stdout.splitlines()[-1])
    for variant, (peak, _, _) in found.items():
        yield {
            "group": "memory",
            "model": model,
            "variant": variant,
            "median": round(peak),
            "unit": "MB",
            "n": 1,
            "ratio": round(peak / found[base][0], 3),
            "to": base,
            "limit": "<= 1.3" if variant == "xcons memory" else "",
        }
    for variant, (_, early, late) in found.items():
        yield {
            "group": f"memory after {LATE} steps",
            "model": model,
            "variant": variant,
            "median": round(late),
            "unit": "MB",
            "n": 1,
            "ratio": round(late / early, 3),
            "to": f"after {EARLY}",
            "limit": "<= 1.05",
        }


def report(step):
    """Prints the memory of this process in MB: the peak, and before and after growth.

    Args:
        step: Function that makes a step.
    """
    sizes = []
    for number in range(1, LATE + 1):
        step()
        if number in (FEW, EARLY, LATE):
            # Not getrusage: its maximum is inherited from the process that started
            # this one.
            sizes.append(resident_size("VmHWM" if number == FEW else "VmRSS"))
    print(json.dumps(sizes))


def resident_size(line):
    """Resident size of this process in MB, by a line of what Linux tells of it."""
    with open("/proc/self/status") as file:
        found = next(each for each in file if each.startswith(line))
    return int(found.split()[1]) / 1024
