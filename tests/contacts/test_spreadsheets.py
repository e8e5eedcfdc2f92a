"""XLSX: what its cells hold comes in as a CSV's would, and a file made to harm is refused with its reason."""

import datetime
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.styles import Font

from astronote.contacts.v1 import contacts_pb2 as pb
from services.contacts import conversion, spreadsheet
from tests.contacts.client import Client, refused
from tests.contacts.test_countries import registered

RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PLAIN = {
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>'
    '<sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships><Relationship Id="rId1" Type="{RELATIONS}/worksheet"'
    ' Target="worksheets/sheet1.xml"/></Relationships>',
    "xl/worksheets/sheet1.xml": '<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>phone</t></is></c>'
    '</row><row r="2"><c r="A2"><v>306912345678</v></c></row></sheetData></worksheet>',
}  # fmt: skip


def packed(parts: dict[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()


def with_rows(rows: str, **more: str) -> bytes:
    sheet = f"<worksheet><sheetData>{rows}</sheetData></worksheet>"
    return packed(PLAIN | {"xl/worksheets/sheet1.xml": sheet} | more)


def saved(book: Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def text_of(data: bytes) -> str:
    out = io.StringIO(newline="")
    spreadsheet.convert(io.BytesIO(data), out)
    return out.getvalue()


async def test_a_greek_workbook_comes_in_whole(mesh: Any):
    book = await registered(mesh, "GR")
    workbook = Workbook()
    notes = workbook.active
    notes.title, notes.sheet_state = "Notes", "hidden"
    notes.append(["phone"])
    sheet = workbook.create_sheet("Πελάτες")
    workbook.create_sheet("Άλλοι").append(["phone", "x"])
    workbook.active = 1
    sheet["B2"] = "Πελατολόγιο"
    sheet.merge_cells("B2:E2")
    for column, header in enumerate(["Κινητό", "Όνομα", "Γενέθλια", "Φύλο", "Πόντοι", "Σύνολο"], 2):
        sheet.cell(4, column, header).font = Font(bold=True)
    rows: list[list[Any]] = [
        [306912345678, "Μαρία", datetime.date(1990, 2, 28), "Θ", 12.5, "=1+1"],
        ["6912345679", "=Νίκος", datetime.date(1985, 12, 1), "ανδρας", 3.0, None],
        ["#N/A", "x", None, None, None, None],
        ["+306912345680", "#REF!", None, None, None, None],
    ]
    for row, values in enumerate(rows, 5):
        for column, value in enumerate(values, 2):
            cell = sheet.cell(row, column)
            cell.value = value
            if isinstance(value, str) and value[0] == "=" and value != "=1+1":
                cell.data_type = "s"
    done = await book.imported(saved(workbook), file_name="πελάτες.xlsx")
    assert (done.state, done.created, done.rejected, done.rows) == (pb.Import.DONE, 2, 2, 4)
    assert [column.field for column in done.columns] == [
        "", "phone", "first_name", "birthday", "gender", "attributes.Πόντοι", "attributes.Σύνολο",
    ]  # fmt: skip
    maria, nikos = sorted(await book.book(), key=lambda person: person.phone)
    assert (nikos.first_name, nikos.birthday, nikos.gender) == ("=Νίκος", "1985-12-01", pb.Contact.MALE)
    assert (maria.phone, maria.first_name, maria.birthday) == ("+306912345678", "Μαρία", "1990-02-28")
    assert maria.gender == pb.Contact.FEMALE
    # A formula is not computed; what nobody computed is not there.
    assert dict(maria.attributes) == {"Πόντοι": "12.5"}
    assert [(row, reason) for row, _, _, reason in await book.rejects(done.id)] == [
        (7, "PHONE_INVALID"),
        (8, "SPREADSHEET_ERROR"),
    ]
    assert await book.count("import_chunks") == 0


def test_cells_are_written_as_their_sheet_shows_them():
    strings = (
        "<sst><si><t>shared</t></si><si><r><t>ri</t></r><r><t>ch</t></r><rPh><t>no</t></rPh></si>"
        "<si><t>a_x000D_b_x0000_</t></si></sst>"
    )
    styles = (
        '<styleSheet><numFmts><numFmt numFmtId="170" formatCode="dd/mm/yyyy;@"/>'
        '<numFmt numFmtId="171" formatCode="0.00 &quot;days&quot;"/></numFmts>'
        '<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="170"/><xf numFmtId="171"/></cellXfs></styleSheet>'
    )
    cells = [
        ('t="s"><v>0</v>', "shared"), ('t="s"><v>1</v>', "rich"), ('t="s"><v>2</v>', '"a\rb"'),
        ('t="str"><f>A1</f><v>cached</v>', "cached"), ('t="b"><v>1</v>', "TRUE"), ('t="e"><v>#N/A</v>', "#N/A"),
        ("><v>3.06912345678E11</v>", "306912345678"), ("><v>306912345678.0</v>", "306912345678"),
        ("><v>1.5</v>", "1.5"), ('s="1"><v>32874</v>', "1990-01-01"), ('s="2"><v>32874.5</v>', "1990-01-01 12:00:00"),
        ('s="3"><v>3</v>', "3"), ('s="1"><v>59</v>', "1900-02-28"), ("><f>1+1</f>", ""), ('s="9"><v>7</v>', "7"),
        ('t="inlineStr"><is><t>in</t></is>', "in"),
    ]  # fmt: skip
    row = "".join(f"<c {attributes_and_value}</c>" for attributes_and_value, _ in cells)
    data = with_rows(f"<row>{row}</row>", **{"xl/sharedStrings.xml": strings, "xl/styles.xml": styles})
    # A cell without a reference follows the one before.
    assert text_of(data) == ",".join(value for _, value in cells) + "\r\n"


def test_rows_and_cells_that_are_left_out_keep_their_places():
    data = with_rows(
        '<row r="3"><c r="B3"><v>1</v></c><c r="D3"><v>2</v></c></row><row r="5"><c r="A5"><v>3</v></c></row>'
    )
    assert text_of(data) == "\r\n\r\n,1,,2\r\n\r\n3\r\n"


def test_a_prefix_and_another_place_are_read_as_well():
    parts = {
        name: part.replace("<", "<x:").replace("<x:/", "</x:").replace('xmlns="', 'xmlns:x="')
        for name, part in PLAIN.items()
    }
    parts["xl/_rels/workbook.xml.rels"] = PLAIN["xl/_rels/workbook.xml.rels"].replace(
        '"worksheets/', '"/XL/worksheets/'
    )
    assert text_of(packed(parts)) == "phone\r\n306912345678\r\n"


DEEP = "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>]><worksheet>&a;</worksheet>"
BAD: dict[str, tuple[bytes, str]] = {
    "no zip": (b"PK\x03\x04 and nothing", "damaged"),
    "cut off": (packed(PLAIN)[:-40], "damaged"),
    "empty zip": (packed({"a.txt": "x"}), "the archive is no XLSX file"),
    "open document": (packed({"mimetype": "x", "content.xml": "<x/>"}), "OpenDocument"),
    "no relations": (packed({"xl/workbook.xml": PLAIN["xl/workbook.xml"]}), "damaged"),
    "broken xml": (packed(PLAIN | {"xl/worksheets/sheet1.xml": "<worksheet><row>"}), "its XML can't be read"),
    "entities": (packed(PLAIN | {"xl/worksheets/sheet1.xml": DEEP}), "entities"),
    "hidden sheets only": (
        packed(PLAIN | {"xl/workbook.xml": PLAIN["xl/workbook.xml"].replace("sheetId", 'state="hidden" sheetId')}),
        "no visible sheet",
    ),
    "zip bomb": (packed(PLAIN | {"xl/worksheets/sheet1.xml": b" " * 50_000_000}), "200 times"),
    "bomb of texts": (packed(PLAIN | {"xl/sharedStrings.xml": b" " * 50_000_000}), "200 times"),
    "many files": (packed({f"{number}": "" for number in range(10_001)} | PLAIN), "10,000 files"),
    "columns": (with_rows('<row><c r="XFD1"><v>1</v></c></row>'), "500 columns"),
    "rows": (with_rows('<row r="1048577"/>'), "1,048,576 rows"),
    "rows go back": (with_rows('<row r="2"/><row r="1"/>'), "out of order"),
    "no text": (with_rows('<row><c t="s"><v>7</v></c></row>'), "damaged"),
    "no number": (with_rows("<row><c><v>x</v></c></row>"), "damaged"),
    "long cell": (with_rows(f"<row><c t=\"str\"><v>{'ab' * 70_000}</v></c></row>"), "131,072 characters"),
    "packed oddly": (packed(PLAIN, zipfile.ZIP_BZIP2), "packed in a way"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_spreadsheet_that_can_not_be_read_says_why(name: str):
    data, problem = BAD[name]
    with pytest.raises(spreadsheet.Refused, match=problem):
        text_of(data)


async def test_a_refused_spreadsheet_leaves_nothing(book: Client):
    for name in ("zip bomb", "columns", "cut off"):
        data, problem = BAD[name]
        reason, metadata = await refused(book.upload(data))
        assert reason == "SPREADSHEET_INVALID"
        assert problem in metadata["problem"]
    assert await book.count("imports") == await book.count("import_chunks") == 0


def test_a_declared_size_that_lies_is_not_read_on():
    data = bytearray(packed(PLAIN | {"xl/worksheets/sheet1.xml": b"<worksheet>" + b" " * 50_000_000}))
    directory = data.rindex(b"PK\x01\x02")
    # The uncompressed size of the last entry: 24 bytes behind its signature.
    data[directory + 24 : directory + 28] = (1000).to_bytes(4, "little")
    with pytest.raises(spreadsheet.Refused, match="damaged"):
        text_of(bytes(data))


@pytest.mark.parametrize(
    ("limit", "value"), [("MEMORY_BYTES_MAX", 40 * 1024 * 1024), ("CPU_SECONDS_MAX", 1)], ids=["memory", "time"]
)
async def test_a_spreadsheet_that_takes_too_much_ends_its_own_process(
    book: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
):
    source = Path(spreadsheet.__file__).read_text("utf-8")
    program = tmp_path / "spreadsheet.py"
    begin = source.index(f"{limit} = ")
    program.write_text(source[:begin] + f"{limit} = {value}\n" + source[source.index("\n", begin) + 1 :])
    monkeypatch.setattr(spreadsheet, "__file__", str(program))
    texts = "".join(f"<si><t>{number:0100}</t></si>" for number in range(300_000))
    rows = "".join(f'<row><c t="str"><v>phone{number or ""}</v></c></row>' for number in range(200_000))
    data = with_rows(rows, **{"xl/sharedStrings.xml": f"<sst>{texts}</sst>"})
    reason, metadata = await refused(book.upload(data, piece_bytes=1024 * 1024))
    assert (reason, metadata["problem"]) == ("SPREADSHEET_INVALID", "it takes too much memory or time to read")
    assert (await book.imported(b"phone\n+306900000001\n")).created == 1


async def test_a_spreadsheet_that_takes_too_long_is_refused(book: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversion, "CONVERSION_SECONDS_MAX", 0.0)
    reason, metadata = await refused(book.upload(packed(PLAIN)))
    assert (reason, metadata["problem"]) == ("SPREADSHEET_INVALID", "it takes too long to read")
    assert await book.count("import_chunks") == 0


async def test_a_spreadsheet_may_not_be_larger_than_its_limit(book: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversion, "SPREADSHEET_BYTES_MAX", 2_000_000)
    data = b"PK\x03\x04" + bytes(3_000_000)
    assert (await refused(book.upload(data)))[0] == "IMPORT_TOO_LARGE"
    assert await book.count("import_chunks") == 0
