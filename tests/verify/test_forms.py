"""Each form a removed value can hide in, written by means of others than the verifier's, is one that it looks for."""

import base64
import binascii
import html
import itertools
import json
import unicodedata
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverslip.verify import forms
from coverslip.verify.claim import Secret
from coverslip.verify.forms import Ordinary, patterns, texts, wanted, windows
from coverslip.verify.leaks import Hunt
from tests.verify.hunting import NOISE, around, finds

NAME = "Jänette & Doemann?"
"""In one piece: no part of it is looked for by itself."""
PLAIN = ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
NOBODY = Ordinary(())


@pytest.mark.parametrize("case", [str, str.lower, str.upper, str.swapcase])
@pytest.mark.parametrize("codec", PLAIN)
def test_a_text_is_found_in_any_code_and_case(codec, case):
    """Whatever case its ASCII letters have; others as they were, or all large, or all small."""
    text = "Doe^Jane" if case is str.swapcase else NAME
    assert finds(text.encode(), around(case(text).encode(codec)))


@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_text_is_found_in_base64(encode, codec, shift):
    """At each alignment, in either alphabet."""
    assert finds(NAME.encode(), around(encode(b"\xfb\xef"[:shift] + NAME.encode(codec) + b"and more")))


@pytest.mark.parametrize("case", [bytes.lower, bytes.upper])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le"])
def test_a_text_is_found_in_hexadecimal(codec, case):
    """Large or small digits."""
    assert finds(NAME.encode(), around(case(binascii.hexlify(NAME.encode(codec)))))


ESCAPES = {
    "XML": html.escape(NAME, quote=False).replace('"', "&quot;"),
    "decimal references": "".join(f"&#{ord(letter)};" for letter in NAME),
    "hexadecimal references": "".join(f"&#x{ord(letter):X};" for letter in NAME),
    "an address": urllib.parse.quote(NAME),
    "a query": urllib.parse.quote(NAME, safe=""),
    "escapes": "".join(json.dumps(chr(0x1000 + ord(letter)))[1:-1].replace("\\u1", "\\u0") for letter in NAME),
}


@pytest.mark.parametrize("kind", ESCAPES)
def test_a_text_is_found_escaped(kind):
    """As XML, HTML, addresses and JSON write it."""
    assert finds(NAME.encode(), around(ESCAPES[kind].encode()))


def written_plainly(text):
    """All of it by the standard library, for one letter case and mark order after the other."""
    cases = {text, text.lower(), text.upper()}
    variants = cases | {unicodedata.normalize(form, case) for form in ("NFC", "NFD") for case in cases}
    forms = {variant.encode(codec) for variant in variants for codec in ("utf-8", "utf-16-le", "utf-16-be")}
    forms |= {variant.encode("latin-1") for variant in variants if max(variant, default="") < "\u0100"}
    for data in (text.encode(), text.encode("utf-16-le")):
        forms.add(binascii.hexlify(data))
        for encode, shift in itertools.product((base64.b64encode, base64.urlsafe_b64encode), range(3)):
            forms.add(encode(bytes(shift) + data)[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6])
    words = [text.encode("utf-16-be")[at : at + 2].hex() for at in range(0, len(text.encode("utf-16-be")), 2)]
    escaped = (
        html.escape(text, quote=False).replace('"', "&quot;"),
        json.dumps(text)[1:-1],
        text.encode("ascii", "xmlcharrefreplace").decode(),
        urllib.parse.quote(text),
        urllib.parse.quote(text, safe=""),
        "".join(f"&#{ord(letter)};" for letter in text),
        "".join(f"&#x{ord(letter):x};" for letter in text),
        "".join(f"\\u{word}" for word in words),
    )
    forms.update(escape.encode() for escape in escaped)
    return {form.lower() for form in forms if len(form) >= 6}


@given(
    st.one_of(
        st.text(st.characters(max_codepoint=127), min_size=1, max_size=20),
        st.text(st.characters(max_codepoint=255), min_size=1, max_size=12),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    )
)
def test_the_quick_ways_to_write_a_text_are_the_plain_ones(text):
    """Not one form more or less, in any alphabet: what is missing would go unnoticed in a slide."""
    assert patterns(text) == written_plainly(text)


PARTS = {
    "a line": (b"Slide of the day\r\nDOE JANE\r\n", b"DOE JANE"),
    "one of a list": (b"one thing|DOE JANE; and more", b"doe jane"),
    "a component of a name": (b"Doemann^Janette^M", b"Janette"),
    "an underscored word": (b"scan_Janette_left", b"janette"),
    "quoted": (b'Name "Jane Doemann" here', b"Jane Doemann"),
    "a control character": (b"Doemann\x01Janette", b"Janette"),
    "a value": (b"Patient = Jane Doemann", b"Jane Doemann"),
    "the name of a file": (rb"C:\scans\of\Doemann.svs", b"Doemann.svs"),
    "the name of a file, the other way": (b"/mnt/scans/Doemann.svs", b"Doemann.svs"),
    "behind a scheme": (b"urn:uuid:6ba7b810-9dad", b"6BA7B810-9dad"),
    "an address": (b"mailto:jane@example.org", b"jane@example.org"),
    "a word with a digit": (b"block (S12-34567), left", b"s12-34567"),
    "a number behind an equals sign": (b"Accession=S1234567", b"S1234567"),
    "with blanks around": (b"  \t Jane Doemann \0\0", b"Jane Doemann"),
    "UTF-16 with its mark": ("Jane Doemann".encode("utf-16"), b"Jane Doemann"),
    "UTF-16 in something": (b"\x01\x02\xff" + "Jane Doemann".encode("utf-16-le") + b"\xfe\x01", b"Jane Doemann"),
    "UTF-16 the other way": (b"\x01\x02\xff\xfe" + "Jane Doemann".encode("utf-16-be") + b"\xfe", b"Jane Doemann"),
    "Latin-1": (b"\xfcJane M\xfcller\xfc", "Jane Müller".encode("latin-1")),
    "Latin-1, elsewhere in UTF-8": (b"\xfe\x01Jane M\xfcller\x01", "Jane Müller".encode()),
    "UTF-16 with its mark, no ASCII": ("Жанетта Доу".encode("utf-16"), "Жанетта Доу".encode()),
    "six letters with their length": (b"\x80\x01\x02!Janett\xff\x03", b"Janett"),
    "text with its length": (b"\x80\x01\x02!Jane Doemann\xff\x03", b"Jane Doemann"),
    "text with its length, all of it ASCII": (b"\x08\x01\x12!Jane Doemann\x1a\x01", b"Jane Doemann"),
    "ASCII between other letters": (b"\xe9\xe9Jane Doemann\xe9\xe9\x01\xff", b"Jane Doemann"),
}


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_of_a_value_is_found_alone(kind):
    """What a person would call a word of it."""
    value, part = PARTS[kind]
    assert finds(value, around(part))


@pytest.mark.parametrize(
    "value",
    [
        b"Doe J",
        b"aaaaaaaa",
        b"1.1.1.1.1.1",
        b"a:b:a:b:a",
        b"Aperio Image Library",
        b"12345 0.5 -7,25",
        b"scanner  macro",
    ],
)
def test_what_stands_everywhere_is_not_looked_for(value):
    """Short, of two letters, numbers of a few digits, words of the field."""
    assert not wanted(value, NOBODY)


@pytest.mark.parametrize(
    "value", [b"Doe Ja", b"Aperio Image Jane", b"123456", b"12345.678", b"1234567 scanner", b"+-12345", b"ab1.ab1."]
)
def test_what_says_something_is(value):
    """One letter, digit or word more."""
    assert wanted(value, NOBODY)


def test_what_was_kept_proves_nothing():
    """In any case, alone or as a part of it; but a text that only holds it is looked for."""
    ordinary = Ordinary(["ScanScope AT Turbo 12"])
    assert ordinary("scanscope at turbo 12")
    assert ordinary(" AT Turbo ")
    assert not ordinary("scanscope at turbo 12x")
    assert not finds(b"AT Turbo 12", b"at turbo 12", kept=["ScanScope AT Turbo 12"])


@given(st.text(min_size=6, max_size=40))
def test_every_pattern_is_long_enough_and_folded(text):
    """Shorter ones would stand everywhere; large letters would never be found."""
    assert all(len(pattern) >= forms.MIN_LENGTH and pattern == pattern.lower() for pattern in patterns(text))


def test_who_is_beyond_the_first_plane_is_found_in_json():
    """Its escapes are those of a pair in UTF-16 (RFC 8259, 7)."""
    assert finds("Jane \U0001f600 Doe".encode(), around(json.dumps("Jane \U0001f600 Doe").encode()))
    assert b"\\ud83d\\ude00\\u0031\\u0032" in patterns("\U0001f60012")


@pytest.mark.parametrize("name", ["Jürgen Weiß", "王小明 Jane", 'Jürgen "Jo" Weiß'])
def test_where_only_other_letters_are_escaped(name):
    """As most programs write JSON and XML."""
    assert finds(name.encode(), around(json.dumps(name).encode()))
    assert finds(name.encode(), around(name.encode("ascii", "xmlcharrefreplace")))


def test_values_that_share_a_part_are_all_named():
    """Each by its own place; who shares nothing is not."""
    secrets = [Secret(path, f"{path};Jane Doe".encode()) for path in ("first", "second", "third")]
    hunt = Hunt((*secrets, Secret("fourth", b"somebody else")), ())
    hunt.search(b"here Jane Doe stands", "here")
    assert sorted(number for number, _ in hunt.hits) == [0, 1, 2]


def test_letters_beyond_latin_1():
    """The first one that has no byte there."""
    assert finds("Āda Lovelace".encode(), around("Āda Lovelace".encode("utf-16-be")))


@pytest.mark.parametrize(("run", "reads"), [(b"Janette\xe9\xe9\xe9", True), (b"Janett\xe9\xe9\xe9\xe9", False)])
def test_pixels_that_are_printable_are_no_words(run, reads):
    """Seven letters of ten are ASCII in words of any European language."""
    assert (run.decode("latin-1") in set(texts(b"\x01\xff\x02" + run + b"\x01"))) is reads


@pytest.mark.parametrize("length", [8, 9, 31, 32, 33, 64, 100, 511, 4000])
def test_a_copy_of_binary_data_is_found(length):
    """Wherever it stands; and half of it, when it is long."""
    value = b"\xff\x00" + NOISE[: length - 2]
    assert finds(value, around(value))
    if length >= 512:
        assert finds(value, around(value[: length // 2]))
        assert finds(value, around(value[length // 2 :]))


@pytest.mark.parametrize("value", [bytes(4000), b"\0\x01" * 2000, bytes(7), b"\xff\0\x01\x02\x03" * 2, bytes(range(7))])
def test_zeros_and_ones_are_not_looked_for(value):
    """Too short, or too few different bytes."""
    assert not windows(value)


@pytest.mark.parametrize(("value", "many"), [(bytes(range(8)), 1), (bytes(range(31)), 1), (bytes(range(32)), 1)])
def test_a_short_one_is_looked_for_as_a_whole(value, many):
    """Down to eight bytes, six of them different."""
    assert len(windows(value)) == many
    assert windows(b"\0\0\0" + bytes(range(5))) == set()
    assert windows(b"\0\0\0" + bytes(range(6)))
    assert windows(bytes(range(8)) * 4)
    assert windows(bytes(range(7)) * 5) == set()


def test_a_form_of_two_texts_counts_once_and_is_found_for_all_secrets():
    """Case is folded, so two parts of a value may be written alike, and so may those of another."""
    values = (b"Doemann|doemann", b"DOEMANN", b"Jane Roe")
    hunt = Hunt([Secret(str(number), value) for number, value in enumerate(values)], ())
    for number, value in enumerate(values):
        assert hunt.forms[number] == len(set().union(*map(patterns, wanted(value, NOBODY))))
    hunt.search(around(b"doemann"), "here")
    assert hunt.hits == {(0, "here"): 1, (1, "here"): 1}
