"""Names in any alphabet are looked for, however the value that held them wrote them."""

import random
import time
from unicodedata import normalize

import pytest

from coverslip.verify import letters
from coverslip.verify.forms import Ordinary, texts, wanted
from coverslip.verify.parts import parts
from tests.verify.hunting import NOISE, around, finds

NAMES = {
    "German": "Jürgen Weiß",
    "Czech": "Přemysl Dvořák",
    "Turkish": "Şükrü Güneş",
    "Vietnamese": "Nguyễn Thị Hương",
    "Greek": "Αλέξης Παππάς",
    "Russian": "Иванов Иван",
    "Armenian": "Արմեն Սարգսյան",
    "Hebrew": "יעל כהן",
    "Arabic": "فاطمة حسن",
    "Hindi": "अनिता शर्मा",
    "Thai": "สมชาย ใจดี",
    "Georgian": "ნინო ბერიძე",
    "Chinese": "王小明",
    "Japanese": "山田 はなこ",
    "Korean": "김민준",
}
CODECS = ("utf-8", "utf-16-le", "utf-16-be")


@pytest.mark.parametrize("leak", CODECS)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_a_name_is_found_in_another_code(name, codec, leak):
    """A value that is the name alone, with and without the zeros of a field that is longer."""
    for zeros in (b"", b"\0", b"\0\0\0\0"):
        assert finds(name.encode(codec) + zeros, around(name.encode(leak)))


@pytest.mark.parametrize("leak", CODECS)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "name", [name for kind, name in NAMES.items() if kind not in ("Chinese", "Japanese", "Korean")]
)
def test_a_name_is_found_inside_something(name, codec, leak):
    """Between bytes that are no text, among them its length; Chinese characters in UTF-16 look like any numbers."""
    value = b"\xff\x00\xff" + len(name).to_bytes(1, "big") + name.encode(codec) + b"\xff\xff\x00"
    assert finds(value, around(name.encode(leak)))


@pytest.mark.parametrize("name", ["王小明", "山田 はなこ", "김민준"])
def test_utf_8_inside_something_is_found_in_utf_16(name):
    """Three bytes of a certain kind for each character are no accident."""
    assert finds(b"\xff\x00" + name.encode() + b"\xff\x01", around(name.encode("utf-16-be")))


@pytest.mark.parametrize("leak", CODECS)
@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("cp1250", "Kovács Győző"),
        ("iso8859_2", "Kovács Győző"),
        ("cp1251", "Иванов Иван"),
        ("koi8_r", "Иванов Иван"),
        ("cp1253", "Αλέξης Παππάς"),
        ("cp1254", "Şükrü Güneş"),
        ("cp1255", "יעל כהן"),
        ("cp1256", "فاطمة حسن"),
        ("cp1257", "Jānis Bērziņš"),
        ("cp874", "สมชาย ใจดี"),
        ("gb18030", "王小明"),
        ("big5", "陳大文"),
        ("shift_jis", "山田 はなこ"),
        ("euc_jp", "山田 はなこ"),
        ("euc_kr", "김민준"),
    ],
)
def test_a_name_in_an_old_code_page_is_found_in_unicode(page, name, leak):
    """Scanners' programs on Windows write settings so; one pair of an INI file is a value."""
    written = name.encode(page)
    for value in (written, written + b"\0\0", b"Name=" + written):
        assert finds(value, around(name.encode(leak)))
    assert finds(written, around(written))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"\xe6Doe\x85\x85\x85", id="blank in Latin-1, elsewhere half of a letter"),
        pytest.param(b"\xa0\xa0\xfa\xfa\xfa\x85", id="the same on both sides"),
        pytest.param(b"vb=" + b"\xa0" * 10, id="the same behind a name"),
        pytest.param(b"\x81" * 8 + b" ", id="one byte again and again"),
        pytest.param(b"." + b"\x88" * 20, id="one byte again and again behind a full stop"),
        pytest.param(b"\xc0" * 700 + b"a", id="one byte, and another at last"),
        pytest.param(b"\x81" * 600 + b"Doe12", id="a name behind what fills a field"),
        pytest.param(b"\xff\xfe\x03\x03\x03" + b"\xd9" * 10 + b"l" * 10, id="halves of pairs in UTF-16"),
    ],
)
def test_what_is_looked_for_as_letters_is_looked_for_as_it_stands(value):
    """In some code page or other nearly all bytes are letters; Latin-1 and the first 512 bytes do not say which."""
    assert not wanted(value, Ordinary(())) or finds(value, around(value))


def test_pixels_are_in_no_code_page():
    """Nor is anything long, or with bytes no text has."""
    assert not list(letters.in_code_pages("Жуков".encode("cp1251")))
    assert not list(letters.in_code_pages(b"\x01" + "Иванов".encode("cp1251")))
    assert list(letters.in_code_pages("Иванов".encode("cp1251") * 600))
    assert not list(letters.in_code_pages("Иванов".encode("cp1251") * 700))


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("name", ["Jürgen Weiß", "Nguyễn Thị Hương", "Αλέξης Παππάς"])
def test_marks_of_their_own_and_joined_ones_are_the_same(name, forms):
    """A name of a file on a Mac has the former."""
    said, leaked = (normalize(form, name) for form in forms)
    assert said != leaked
    assert finds(said.encode(), around(leaked.encode()))


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("Имя: Иванов Иван", "Иванов Иван"),
        ("Patient Name: Jane Doemann", "Jane Doemann"),
        ("患者氏名：山田はなこ（女）", "山田はなこ"),
        ("姓名：王小明，科室", "王小明"),
        ("「山田はなこ」", "山田はなこ"),
        ("一、王小明。", "王小明"),
    ],
)
def test_a_name_is_found_without_its_label(value, part):
    """Behind a colon, between marks of other scripts."""
    assert finds(value.encode(), around(part.encode()))
    assert finds(value.encode("utf-16-le"), around(part.encode()))


@pytest.mark.parametrize("value", ["Aperio", "Image Library", "Macro", "0.25", "scanner macro"])
def test_words_are_not_read_as_chinese(value):
    """Two letters of a byte are one character of two; what stands in every slide would be found in every slide."""
    for written in (value.encode(), value.encode() + b"\0\0"):
        assert not wanted(written, Ordinary(()))
    for order in ("utf-16-le", "utf-16-be"):
        read = {text.replace("\0", "") for text in wanted(value.encode(order), Ordinary(()))}
        assert read <= {value}, "the letters of the other order, or a word cut short"


def test_an_odd_number_of_bytes_is_no_utf_16():
    """One more would be looked for than ever stood there."""
    assert list(letters.wide("Dvořák".encode()[:7])) == []
    assert list(letters.wide("王小明".encode("utf-16-be")[:-1])) == []


@pytest.mark.parametrize("value", ["王明", "Käßle", "Šurý1"])
def test_a_name_is_as_long_as_it_is_written(value):
    """Six bytes, however few letters they are."""
    assert wanted(value.encode(), Ordinary(()))


@pytest.mark.parametrize("value", ["Käse", "ммммм", "王", "µm", "aéaéaé"[:2]])
def test_what_is_shorter_is_not(value):
    """Or always the same."""
    assert not wanted(value.encode(), Ordinary(()))


def test_it_takes_no_longer_with_pixels():
    """A value is at most so long; what looks like letters in it is counted."""
    value = bytes(random.Random(2).choices(range(1, 256), k=1 << 16))
    begun = time.process_time()
    found = list(texts(value))
    assert time.process_time() - begun < 5
    assert len(found) < 3000


def words_of(number):
    """That many words of six Cyrillic letters, no two alike."""
    return ("".join(chr(0x410 + (each >> 4 * at) % 16) for at in range(6)) for each in range(number))


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le"])
def test_texts_are_counted(codec):
    """A value made to cost much costs no more than that."""
    apart = b"\x01\xff\xff\xff".join(word.encode(codec) for word in words_of(2000))
    read = letters.inside if codec == "utf-8" else letters.wide
    assert letters.MAX_TEXTS // 2 < len(list(read(apart))) <= letters.MAX_TEXTS


@pytest.mark.parametrize("junk", ["abcd", "--------", "1.2, 3.4"])
def test_what_is_no_name_takes_no_name_s_place(junk):
    """However much of it stands before."""
    before = b"\xff\xff".join(junk.encode("utf-16-le") for _ in range(2 * letters.MAX_TEXTS))
    assert finds(before + b"\xff\xff" + "Иванов".encode("utf-16-le"), around("Иванов".encode()))


@pytest.mark.parametrize("before", ["é", "Ж", "-", "7"])
@pytest.mark.parametrize("order", letters.ORDERS)
def test_one_character_before_it_hides_no_name(before, order):
    """It may be a length, or the end of something else."""
    value = b"\xff\xff" + (before + "Иванов Иван").encode(order) + b"\xff\xff"
    assert finds(value, around("Иванов Иван".encode()))


@pytest.mark.parametrize(
    "value", [NOISE[:64], "王小明\ue000王".encode("utf-16-le"), "王小明ЖЖ".encode("utf-16-le"), b"\xff\xfe\x01\x02"]
)
def test_what_is_not_in_ideographs_throughout_is_not_read_so(value):
    """Any two bytes are a character of some kind."""
    assert not any("\u4e00" <= letter <= "\u9fff" for text in letters.wide(value) for letter in text)


def test_a_long_value_is_not_read_in_ideographs():
    """A field of words is short, and pixels are not."""
    word = "王小明山"
    assert [*letters.wide(word.encode("utf-16-le") * (letters.LONGEST // 8))]
    assert not [*letters.wide(word.encode("utf-16-le") * (letters.LONGEST // 8 + 1))]
    assert not [*letters.wide("王明".encode("utf-16-le"))]


@pytest.mark.parametrize("name", ["Иванов Иван", "Αλέξης Παππάς", "山田 はなこ", "Jürgen Weiß"])
def test_a_name_in_a_part_is_found(name):
    """IPTC's by-line says in how many bytes it is written; none of them is ASCII."""
    written = name.encode()
    value = b"\xff\xfe\x01\x1c\x02\x50" + len(written).to_bytes(2, "big") + written + b"\x1c\x02\x51\0\0\xff"
    assert finds(value, around(name.encode("utf-16-le")))
    assert any(written == part for part in parts(value))


def test_every_alphabet_takes_what_is_latin_1():
    """That is why one of them is asked for a value with nothing else in it."""
    printable = "".join(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x100))))
    assert all(alphabet.fullmatch(printable) for alphabet in (letters._ANY, *letters._RUNS))
