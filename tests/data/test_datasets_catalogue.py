from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from release_trees import (
    csiq_tree,
    kadid10k_tree,
    koniq10k_tree,
    live_tree,
    livec_tree,
    picture,
    spaq_tree,
    tid2013_tree,
)

from crossiqa_edge.data.datasets import NAMES, open_set
from crossiqa_edge.errors import ConfigError, DatasetError


def photo_tree(root: Path) -> Path:
    picture(root / "one.png", size=(40, 40))
    return root


def folder_tree(root: Path) -> Path:
    (photo_tree(root) / "labels.csv").write_text("file,mos\none.png,50\n")
    return root


TREES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "tid2013": (tid2013_tree, "TID2013"),
    "kadid10k": (kadid10k_tree, "KADID-10k"),
    "live": (live_tree, "LIVE"),
    "csiq": (csiq_tree, "CSIQ"),
    "koniq10k": (koniq10k_tree, "KonIQ-10k"),
    "livec": (livec_tree, "LIVE-itW"),
    "spaq": (spaq_tree, "SPAQ"),
    "folder": (folder_tree, "set"),
    "population": (photo_tree, "population MOS"),
}


@pytest.mark.parametrize("name", TREES)
def test_every_set_opens_by_its_name_under_one_convention(tmp_path: Path, name: str) -> None:
    tree, title = TREES[name]
    root = tmp_path / "set"
    root.mkdir()
    opened = open_set(name, str(tree(root)))
    assert opened.name == title
    assert ((opened.scores >= 0) & (opened.scores <= 1)).all()
    assert len({sample.key for sample in opened.samples}) == len(opened)
    assert all(sample.reference for sample in opened.samples)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_root_gets_one_line_that_says_what_to_give(tmp_path: Path, name: str) -> None:
    absent = tmp_path / "absent"
    for root, problem in ((absent, "no such folder"), (tmp_path, "no")):
        with pytest.raises(DatasetError) as caught:
            open_set(name, root)
        message = str(caught.value)
        assert message.startswith(str(root))
        assert problem in message
        assert "; give " in message
        assert "\n" not in message


def test_the_message_names_the_file_that_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        open_set("tid2013", tmp_path)
    assert (
        str(caught.value)
        == f"{tmp_path}: no mos_with_names.txt; give the folder that TID2013's archive unpacks to"
    )


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown data set 'tid2012'; did you mean 'tid2013'"):
        open_set("tid2012", ".")
    with pytest.raises(ConfigError, match="choose from tid2013, kadid10k"):
        open_set("xyz", ".")


def test_unknown_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="data set 'koniq10k' has no option 'size'; it has resolution"):
        open_set("koniq10k", tmp_path, size="512x384")
    with pytest.raises(ConfigError, match="it has none"):
        open_set("spaq", tmp_path, size="512x384")


def test_options_as_a_command_line_writes_them(tmp_path: Path) -> None:
    folder_tree(tmp_path)
    assert open_set("folder", tmp_path, native_range="0,200", name="mine").scores.tolist() == [0.25]
    chosen = open_set("population", tmp_path, types="jpeg,gaussian_blur", levels="1,5", seed="7")
    assert [sample.key for sample in chosen.samples] == [
        f"one.png:{name}:{level}" for name in ("jpeg", "gaussian_blur") for level in (1, 5)
    ]
    with pytest.raises(ConfigError, match="option seed='x' cannot be read"):
        open_set("population", tmp_path, seed="x")


def test_the_catalogue_imports_no_loader_and_nothing_heavy() -> None:
    script = (
        "import sys, crossiqa_edge.data.datasets\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in ('torch', 'scipy', 'openpyxl')"
        " or name.endswith(('datasets.live', 'datasets.population'))]\n"
        "sys.exit(' '.join(loaded) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
