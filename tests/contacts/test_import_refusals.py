"""Files that are refused as a whole: with a reason, and with nothing stored."""

import pytest

from tests.contacts.client import Client, refused


@pytest.mark.parametrize(
    ("file", "answer", "metadata"),
    [
        (b"", "IMPORT_EMPTY", {}),
        (b"\xef\xbb\xbf", "IMPORT_EMPTY", {}),
        (b"\xef\xbb\xbf \r\n\n", "IMPORT_EMPTY", {}),
        (b"phone,name\n", "IMPORT_EMPTY", {}),
        (b"phone,name\r\n\r\n , \r\n,,\r\n", "IMPORT_EMPTY", {}),
        (b'phone,x\n1,"a\n\nb"\n2,\xff\n', "ENCODING_INVALID", {"row": "3"}),
        ("phone,x\n1,Μαρία\n".encode() + b"2,\xcc\xe1\xf1\n", "ENCODING_INVALID", {"row": "3"}),
        (b"phone,x\n1,a\x00b\n", "ENCODING_INVALID", {"row": "2", "found": "a NUL character"}),
        (bytes(range(1, 256)) * 40, "ENCODING_INVALID", {}),
        (b"PK\x03\x04\x14\x00\x06\x00", "SPREADSHEET_INVALID", {"problem": "the file is damaged, or no spreadsheet"}),
        (b"%PDF-1.7\n1 0 obj\n", "FILE_UNSUPPORTED", {"found": "a PDF"}),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, "FILE_UNSUPPORTED", {}),
        (b"\x89PNG\r\n\x1a\n\x00", "FILE_UNSUPPORTED", {"found": "an image"}),
        (b"<html><table><tr><td>phone</td></tr></table>", "FILE_UNSUPPORTED", {"found": "a web page"}),
        (b"+306912345678,Maria\n+306912345679,Nikos\n", "HEADER_INVALID", {"found": "+306912345678, Maria"}),
        (b"email,name\na@b.c,x\n", "HEADER_INVALID", {"found": "email, name"}),
        (b"phone," + b"x" * 51 + b"\n1,2\n", "HEADER_INVALID", {"column": "x" * 51, "problem": "TOO_LONG"}),
        (b"phone," + b"x" * 70_000, "HEADER_INVALID", {"problem": "longer than 64 KiB"}),
        (b'phone,"' + b"x\n" * 90_000, "HEADER_INVALID", {"problem": "longer than 64 KiB"}),
        (b"phone," + ",".join(f"c{n}" for n in range(51)).encode() + b"\n1", "HEADER_INVALID", {}),
        (b"cell,Mobile,name\n1,2,3\n", "DUPLICATE_COLUMN", {"column": "Mobile", "other": "cell", "means": "phone"}),
        (b"phone," + b"," * 60_000 + b"\n1,2\n", "HEADER_INVALID", {"problem": "more than 500 columns"}),
        (b"phone," + b"," * 100_000 + b"\n1,2\n", "HEADER_INVALID", {"problem": "longer than 64 KiB"}),
        (b"phone,city,city\n1,2,3\n", "DUPLICATE_COLUMN", {"column": "city"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece_bytes", [7, 256 * 1024])
async def test_a_bad_file_is_refused_and_nothing_is_stored(
    book: Client, file: bytes, answer: str, metadata: dict[str, str], piece_bytes: int
):
    found, details = await refused(book.upload(file, piece_bytes))
    assert found == answer
    assert metadata.items() <= details.items()
    for table in ("imports", "import_chunks", "contacts", "consents"):
        assert await book.count(table) == 0
