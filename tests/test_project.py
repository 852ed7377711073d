"""Files about the project agree with it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

import torchgeo_cloudseg
from torchgeo_cloudseg import tasks, trainers

ROOT = Path(__file__).parents[1]


def test_version_stands_in_one_place() -> None:
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert torchgeo_cloudseg.__version__.removesuffix('.dev0') == str(citation['version'])
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    assert project['project']['dynamic'] == ['version']


def test_tasks_go_by_their_new_names() -> None:
    assert tasks.CloudSegTeacher is trainers.CloudSegTeacherTask
    assert tasks.CloudSegStudent is trainers.CloudSegStudentTask


def test_readme_is_short_and_its_links_lead_somewhere() -> None:
    readme = (ROOT / 'README.md').read_text()
    assert len(readme.splitlines()) <= 100
    links = [part.partition(')')[0] for part in readme.split('](')[1:]]
    local = [link for link in links if '://' not in link]
    assert len(local) > 10
    assert [link for link in local if not (ROOT / link).exists()] == []
