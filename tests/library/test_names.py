"""Names as words: without endings, folder by folder."""

import pytest

from coverslip.names import stem, words
from coverslip.policy import load
from coverslip.verify import Secret
from coverslip.verify.leaks import Hunt

STEMS = {
    "S12-34567_DOE-JANE.svs": "S12-34567_DOE-JANE",
    "S12-34567.ome.tiff": "S12-34567",
    "S12-34567.svs.zip": "S12-34567",
    "S12.34567.svs": "S12.34567",
    "no ending": "no ending",
    "C:\\scans\\DOE JANE.ndpi": "DOE JANE",
    "": "",
}


@pytest.mark.parametrize("name", STEMS)
def test_a_stem_has_no_ending(name):
    """One that stands somewhere without its ending would be missed otherwise."""
    assert stem(name) == STEMS[name]


def test_every_folder_of_a_path_is_a_word():
    """Uploads of a folder say where each file lay, on either kind of system."""
    assert words("Kowalczyk Anna/2012/S12-34567.svs") == ("Kowalczyk Anna", "2012", "S12-34567")
    assert words("Kowalczyk Anna\\S12-34567.svs") == ("Kowalczyk Anna", "S12-34567")


@pytest.mark.parametrize("left", [b"S12-34567_DOE-JANE", b"see S12-34567 there", b"doe-jane", b"DOE-JANE.jpg"])
def test_a_name_is_found_whole_and_in_parts(left):
    """People join what they know of a patient with underscores."""
    hunt = Hunt([Secret("upload/word[0]", word.encode()) for word in words("S12-34567_DOE-JANE.svs")], ())
    hunt.search(b"...." + left + b"....", "somewhere")
    assert hunt.hits


def test_given_words_are_elements_that_go(tmp_path):
    """No policy keeps what was said about a slide."""
    from coverslip.intake.words import given
    from coverslip.policy import Remove

    elements = given(("S12-34567", "", "S12-34567", "Kowalczyk"))
    assert [element.path for element in elements] == ["upload/word[0]", "upload/word[1]"]
    assert all(load(name).decide(element).action == Remove() for name in ("strict", "research") for element in elements)
