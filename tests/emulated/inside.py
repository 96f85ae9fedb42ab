"""Runs in an emulated machine: the collector, and while it is attached the guests of the job.

Job and results are files in /job, which the host has too:

    job.json        what to do
    doctor.json     what the doctor found before anything was started
    collector.log   what the collector says
    attached        made by the host, when its server shows that the probes are attached
    told.jsonl      one line for each of the job's guests, in order: its truth, or why it cannot be run
    seen            made by the host, when it has seen all that it wants to; the machine then ends
    ended           the collector's exit status
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from demo import cases
from demo.scene import Scene

JOB = Path("/job")
CHECKOUT = Path("/checkout")
_PATIENCE_S = 900.0


def main() -> None:
    """Do the job."""
    job = json.loads((JOB / "job.json").read_text())
    doctor = _run("collector", "doctor", "--json", "--no-attach")
    _publish("doctor.json", doctor.stdout)
    with (JOB / "collector.log").open("wb") as log:
        command = [sys.executable, "-m", "collector", "run", *job["collector"]]
        collector = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log)
        _await("attached")
        with (JOB / "told.jsonl").open("a") as told:
            for arguments in job["guests"]:
                done = _run(*arguments)
                line = done.stdout if done.returncode == 0 else json.dumps({"refused": done.stderr.strip()})
                told.write(line.strip() + "\n")
                told.flush()
        _await("seen")
        collector.terminate()
        _publish("ended", str(collector.wait()))


def perform(name: str, count: int) -> None:
    """Be one of the demonstration's guests: act once, and print the truth."""
    scene: Scene = getattr(cases, name)()
    scene.act(count)
    print(scene.truth(name).to_json())  # noqa: T201
    scene.close()


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def _await(name: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not (JOB / name).exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"inside: the host did not make {name}")
        time.sleep(0.1)


def _publish(name: str, text: str) -> None:
    """Write a file that is complete as soon as it is there."""
    (JOB / f"{name}.part").write_text(text)
    (JOB / f"{name}.part").rename(JOB / name)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        perform(sys.argv[1], int(sys.argv[2]))
    else:
        main()
