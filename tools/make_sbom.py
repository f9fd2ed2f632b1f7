"""Writes vendored.cdx.json: which libraries of others the wheel holds, as CycloneDX 1.6.

The facts are the table's in `run/serve/page/vendor/README.md`. Nothing in it depends on when or
where it is made. The wheel has it in `.dist-info/sboms`, where PEP 770 wants it.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
VENDOR = Path("chatwright/run/serve/page/vendor")
SBOM = ROOT / "vendored.cdx.json"
_ROW = re.compile(
    r"^\| `(?P<file>\S+)` \| (?P<name>\S+) \| (?P<version>\S+) \| (?P<licence>[^|]+) "
    r"\| (?P<use>[^|]+) \| `(?P<digest>[0-9a-f]{64})` \|$",
    re.MULTILINE,
)


def made() -> str:
    """Return the bill of materials."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    components: dict[str, dict[str, Any]] = {}
    for row in _ROW.finditer((ROOT / "src" / VENDOR / "README.md").read_text("utf-8")):
        purl = f"pkg:npm/{row['name']}@{row['version']}"
        component = components.setdefault(purl, _library(purl, row))
        component["components"].append(_file(row))
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"expression": project["license"]}],
                "purl": own,
            }
        },
        "components": [*components.values()],
        "dependencies": [{"ref": own, "dependsOn": [*components]}],
    }
    return json.dumps(bill, indent=2) + "\n"


def _library(purl: str, row: re.Match[str]) -> dict[str, Any]:
    name, version = row["name"], row["version"]
    origin = f"https://registry.npmjs.org/{name}/-/{name}-{version}.tgz"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "description": row["use"],
        "licenses": [{"expression": row["licence"]}],
        "purl": purl,
        "externalReferences": [{"type": "distribution", "url": origin}],
        "components": [],
    }


def _file(row: re.Match[str]) -> dict[str, Any]:
    return {
        "type": "file",
        "name": (VENDOR / row["file"]).as_posix(),
        "hashes": [{"alg": "SHA-256", "content": row["digest"]}],
    }


if __name__ == "__main__":
    SBOM.write_text(made(), encoding="utf-8")
