"""Ask for known vulnerabilities of all that the locks name: `python audit.py PIP-AUDIT [--may-be-offline]`.

pip-audit alone ends well when its service knows no package at all, as behind a mirror that passes on files only.
"""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
LOCKS = ("dev.txt", "tools.txt", "torch.txt")
"""dev.txt has all of run.txt; torch.txt is on its own because it has no hashes."""


def main(program: str, *options: str) -> int:
    """0: none known, or no service to ask and `--may-be-offline`; 1: some; 2: not all packages could be looked up."""
    vulnerabilities: list[str] = []
    unknown: list[str] = []
    count = 0
    for lock in LOCKS:
        command = [program, "--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]
        ended = subprocess.run([*command, "--requirement", FOLDER / lock], capture_output=True, text=True, check=False)
        try:
            found = json.loads(ended.stdout)["dependencies"]
        except (ValueError, KeyError):
            unknown.append(lock)
            continue
        count += len(found)
        for one in found:
            if "skip_reason" in one:
                unknown.append(one["name"])
            for known in one.get("vulns", ()):
                fixed = ", ".join(known["fix_versions"]) or "no release yet"
                vulnerabilities.append(f"{one['name']} {one['version']}: {known['id']}; fixed in {fixed}")
    for sentence in vulnerabilities:
        print(sentence)
    if unknown and not vulnerabilities and len(unknown) >= count:
        print("nothing was looked up: the service of known vulnerabilities does not answer")
        return 0 if "--may-be-offline" in options else 2
    if unknown:
        print(f"could not be looked up: {', '.join(unknown)}")
    else:
        print(f"{count} packages were looked up, {len(vulnerabilities)} known vulnerabilities")
    return 1 if vulnerabilities else 2 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
