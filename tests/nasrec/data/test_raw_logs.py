"""Raw Avazu and KDD Cup 2012 files: the formats by hand, the ids NASRec gives them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nasrec.data import delimited
from nasrec.data.encoder import EncodingOptions
from nasrec.data.prepare import prepare
from nasrec.data.source import open_source
from nasrec.errors import InputError

AVAZU_HEADER = (
    "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,device_ip,"
    "device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
)
AVAZU_ROW = "1000009418151094273,0,14102100,1005,0,1fbe01fe,12345678,a,b,c,d,e,f,0a,1,2,3,4,5,6,7,8,-1,9"
KDD_ROWS = ["0\t1\t100\t7\t8\t2\t1\t18446744073709551615\t3\t4\t5\t10", "3\t9\t100\t7\t8\t1\t1\t6\t3\t4\t5\t999"]
PROFILE = "9\t1\t2\n10\t2\t6\n"


def avazu(folder: Path, *rows: str, header: str = AVAZU_HEADER) -> Path:
    (folder / "train.csv").write_text("".join(f"{line}\n" for line in (header, *rows)))
    return folder / "train.csv"


def kdd(folder: Path, *rows: str, profile: str | None = PROFILE) -> Path:
    (folder / "training.txt").write_text("".join(f"{line}\n" for line in rows))
    if profile is not None:
        (folder / "userid_profile.txt").write_text(profile)
    return folder / "training.txt"


def read(spec: str) -> pl.DataFrame:
    return pl.concat(open_source(spec).frames())


def test_an_avazu_row_by_hand(tmp_path: Path) -> None:
    path = avazu(tmp_path, AVAZU_ROW.replace("-1", ""))
    frame = read(f"avazu:{path}")
    assert frame.shape == (1, 24) and frame.columns == AVAZU_HEADER.split(",")
    row = frame.row(0, named=True)
    assert row["id"] == "1000009418151094273" and row["click"] == 0 and row["site_domain"] == "12345678"
    assert row["C20"] is None and row["C21"] == "9"


def test_avazu_hashed_as_nasrec_does(tmp_path: Path) -> None:
    path = avazu(tmp_path, *([AVAZU_ROW] * 10))
    data = prepare(open_source(f"avazu:{path}"), tmp_path / "p", seed=0, options=EncodingOptions("hash"))
    tables = {table.name: table.rows for table in data.features.tables}
    assert list(tables.values()) == [
        10000, 241, 8, 8, 4738, 7746, 27, 8553, 560, 37, 500_000, 500_000, 8252, 6, 5, 2627, 9, 10, 436, 5, 69, 173, 61,
    ]  # fmt: skip
    batch = data.split("all").batch(slice(0, 1))
    assert batch.dense.tolist() == [[1.0]]
    ids = dict(zip(tables, batch.ids[0].tolist(), strict=True))
    assert ids["id"] == 1000009418151094273 % 2147483647 % 9999 + 1
    assert ids["site_id"] == 0x1FBE01FE % 2147483647 % 4737 + 1
    assert ids["site_domain"] == 12345678 % 7745 + 1  # digits that may be decimal are
    assert ids["app_category"] == 0xD % 36 + 1 and ids["C20"] == (2147483647 - 1) % 172 + 1


def test_an_id_that_is_another_in_every_row_is_always_hashed(tmp_path: Path) -> None:
    rows = [AVAZU_ROW.replace("1000009418151094273", str(10**18 + n)).replace("-1", "") for n in range(20)]
    data = prepare(open_source(f"avazu:{avazu(tmp_path, *rows)}"), tmp_path / "p", seed=0)
    assert data.features.tables[0].rows == 10_000 and data.features.tables[1].rows == 3
    ids = data.split("all").batch(slice(0, 20)).ids
    assert ids[:, 0].tolist() == [(10**18 + n) % 2147483647 % 9999 + 1 for n in range(20)]
    assert (ids[:, 1] == 2).all()
    again = prepare(open_source(f"avazu:{tmp_path / 'train.csv'}"), tmp_path / "q", seed=0, encoder=data.encoder)
    assert np.array_equal(again.split("all").batch(slice(0, 20)).ids, ids)


def test_a_kdd_row_by_hand_with_the_profile_joined(tmp_path: Path) -> None:
    frame = read(f"kdd:{kdd(tmp_path, *KDD_ROWS)}")
    names = "click impression display_url ad advertiser depth position query keyword title description user gender age"
    assert frame.columns == names.split()
    query = "18446744073709551615"
    assert frame.row(0) == (0, 1.0, "100", "7", "8", 2.0, 1.0, query, "3", "4", "5", "10", "2", "6")
    assert frame.row(1) == (1, 9.0, "100", "7", "8", 1.0, 1.0, "6", "3", "4", "5", "999", "0", "0")  # no profile


def test_kdd_hashed_as_nasrec_does(tmp_path: Path) -> None:
    path = kdd(tmp_path, *KDD_ROWS * 5)
    data = prepare(
        open_source(f"kdd:{path}"), tmp_path / "p", seed=0, options=EncodingOptions("hash", max_rows=2**31 - 1)
    )
    rows = [26274, 641708, 14848, 22122011, 1188090, 3735797, 2934102, 20004011, 4, 8]
    assert [table.rows for table in data.features.tables] == rows and data.features.dense == 3
    batch = data.split("all").batch(slice(0, 2))
    assert batch.ids[0].tolist() == [
        101, 8, 9, (2**64 - 1) % 2147483647 % 22122010 + 1, 4, 5, 6, 11, 3, 7,
    ]  # fmt: skip
    assert np.allclose(batch.dense[1], np.log1p([9, 1, 1]))


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        ([AVAZU_ROW.replace("-1", "--1")], AVAZU_HEADER, "line 2, field 'C20': value '--1', expected a decimal or hex"),
        ([AVAZU_ROW.replace("1fbe01fe", "1fbe01fg")], AVAZU_HEADER, "field 'site_id': value '1fbe01fg'"),
        ([AVAZU_ROW + ",1"], AVAZU_HEADER, "line 2: 25 columns, expected 24"),
        ([AVAZU_ROW], AVAZU_HEADER.replace("hour", "day"), "line 1: columns id, click, day"),
        ([], AVAZU_HEADER, "empty file, expected at least one row"),
    ],
)
def test_a_bad_avazu_log(tmp_path: Path, rows: list[str], header: str, said: str) -> None:
    path = avazu(tmp_path, *rows, header=header)
    with pytest.raises(InputError) as caught:
        read(f"avazu:{path}")
    assert str(caught.value).startswith(str(path)) and said in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "profile", "said"),
    [
        ([KDD_ROWS[0], KDD_ROWS[1] + "\t1"], PROFILE, "training.txt, line 2: 13 columns, expected 12"),
        ([KDD_ROWS[0].replace("10", "u10")], PROFILE, "training.txt, line 1, field 'display_url': value 'u100'"),
        (["x" + KDD_ROWS[0][1:]], PROFILE, "training.txt, line 1, field 'click': value 'x', expected a number"),
        (KDD_ROWS, None, "userid_profile.txt: no such file; kdd:FILE needs the users' profile"),
        (KDD_ROWS, "9\t1\t2\n10\t2\told\n", "userid_profile.txt, line 2, field 'age': value 'old', expected a whole"),
        (KDD_ROWS, "9\t1\t2\n9\t2\t3\n", "userid_profile.txt, field 'user': 9 appears twice"),
        (KDD_ROWS, "9\t1\n", "userid_profile.txt, line 1: 2 columns, expected 3"),
    ],
)
def test_a_bad_kdd_log(tmp_path: Path, rows: list[str], profile: str | None, said: str) -> None:
    path = kdd(tmp_path, *rows, profile=profile)
    with pytest.raises(InputError, match=r"^[^\n]*$") as caught:
        read(f"kdd:{path}")
    assert said in str(caught.value)


@pytest.mark.parametrize("kind", ["avazu", "kdd"])
def test_absent(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=r"nowhere.txt: no such file; .*:FILE reads"):
        open_source(f"{kind}:{tmp_path / 'nowhere.txt'}")


def test_frames_from_any_number_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 100)
    source = open_source(f"kdd:{kdd(tmp_path, *KDD_ROWS * 20)}")
    whole = list(source.frames())
    assert len(whole) > 5 and source.expected_frames == pytest.approx(len(whole), rel=0.5)
    for start in (0, 1, 3, len(whole)):
        assert [frame.rows() for frame in source.frames(start=start)] == [frame.rows() for frame in whole[start:]]


def test_the_real_avazu(shared: Path) -> None:
    frame = read(f"avazu:{shared / 'data/avazu/first10k.csv'}")
    assert frame.shape == (9_999, 24) and frame["C20"].null_count() == 0
