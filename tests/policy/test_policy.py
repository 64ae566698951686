"""What no rule keeps is removed; what a rule keeps must have the form the rule asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverslip import policy
from coverslip.elements import Element, ElementKind, ElementPath, ImageRole, Inventory
from coverslip.errors import PolicyInvalid
from coverslip.policy import Keep, Policy, Remove, Replace, Rule

STRICT = policy.load("strict")


def element(path, value=b"", kind=ElementKind.TEXT, understood=True, role=None):
    """An element with defaults."""
    return Element(ElementPath(path), kind, understood, value, role)


@pytest.mark.parametrize(
    ("path", "value", "action"),
    [
        ("ifd[0]/ImageDescription/MPP", b"0.2533", Keep()),
        ("ifd[0]/ImageDescription/MPP#2", b"0.2533", Keep()),
        ("ifd[0]/ImageDescription/MPP", b"0.2533 DOE", Remove()),
        ("ifd[0]/ImageDescription/MPP", b"12345678901", Remove()),
        ("ifd[0]/ImageDescription/Title", b"20", Remove()),
        ("ifd[0]/65000", b"anything", Remove()),
        ("ifd[0]/EXIF/ImageWidth", b"", Remove()),
        ("file/name", b"S12-34567.svs", Remove()),
        ("ifd[1]/image[thumbnail]", b"", Replace("regenerated")),
        ("ifd[2]/image[label]", b"", Remove()),
        ("nobody/ever/listed/this", b"", Remove()),
    ],
)
def test_strict(path, value, action):
    """The default policy, case by case."""
    assert STRICT.decide(element(path, value)).action == action


def speaks(pattern, path):
    """Whether a path pattern stands for a path, letter by letter."""
    if not pattern:
        return not path
    rest = pattern.lstrip("*") if pattern.startswith("**") else pattern[1:]
    if pattern.startswith("*"):
        taken = range(len(path) + 1)
        slashes = pattern.startswith("**")
        return any(speaks(rest, path[n:]) for n in taken if slashes or "/" not in path[:n])
    return path[:1] == pattern[0] and speaks(rest, path[1:])


RULES = st.lists(st.lists(st.text("a/*.", max_size=5), max_size=3).map(tuple), max_size=5)


@given(rules=RULES, path=st.text("a/.", max_size=6))
def test_the_first_rule_that_speaks_of_an_element_decides(rules, path):
    """Though all rules are asked at once."""
    made = tuple(Rule(str(number), "", paths, Remove()) for number, paths in enumerate(rules))
    first = next((rule.id for rule in made if any(speaks(pattern, path) for pattern in rule.paths)), "default")
    assert Policy("", 1, "", made, "").decide(element(path)).because == first


def test_what_is_not_understood_goes():
    """A rule that keeps a path does not keep something there that the reader cannot explain."""
    assert STRICT.decide(element("ifd[0]/ImageWidth", understood=False)).action == Remove()


def test_fields_share_the_fate_of_their_picture():
    """The width of a removed label is removed, the width of a new thumbnail is new, the base level's stays."""
    roles = (ImageRole.BASE, ImageRole.THUMBNAIL, ImageRole.LABEL)
    inventory = Inventory(
        tuple(
            part
            for i, role in enumerate(roles)
            for part in (
                element(f"ifd[{i}]/ImageWidth", kind=ElementKind.STRUCTURE),
                element(f"ifd[{i}]/image[{role.value}]", kind=ElementKind.IMAGE, role=role),
            )
        )
    )
    plan = STRICT.plan(inventory)
    actions = [plan.action(f"ifd[{i}]/ImageWidth") for i in range(3)]
    assert actions == [Keep(), Replace("regenerated"), Remove()]
    assert plan.counts() == {"kept": 2, "removed": 2, "replaced": 2}


def test_research_adds_the_scanner_model_and_nothing_like_it():
    """The model from a vocabulary stays; a serial number in its place does not."""
    research = policy.load("research")
    assert research.decide(element("ifd[0]/ImageDescription/ScannerType", b"AT2")).action == Keep()
    assert research.decide(element("ifd[0]/ImageDescription/ScannerType", b"AT2 SN 1234")).action == Remove()
    assert research.decide(element("ifd[0]/ImageDescription/Date", b"12/29/09")).action == Remove()
    assert research.sha256 != STRICT.sha256


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name =", ""),
        ('name = "x"', "version"),
        ('name = "x"\nversion = 1\ndescription = ""\nextra = 1', "extra"),
        ('name = "x"\nversion = 1\ndescription = ""\n[[rule]]\nid="a"\nreason=""\npaths=[]\naction="drop"', "a"),
        (
            'name = "x"\nversion = 1\ndescription = ""\n[[rule]]\nid="a"\nreason=""\npaths=[]\naction="keep"\n'
            'form="vocabulary"',
            "a",
        ),
        (
            'name = "x"\nversion = 1\ndescription = ""\n[[rule]]\nid="a"\nreason=""\npaths=[]\naction="keep"\n'
            'form="vocabulary"\nvocabulary=["("]',
            "a",
        ),
    ],
)
def test_a_wrong_policy_says_where(tmp_path, text, place):
    """A policy that does not say what it means is refused with the place to mend."""
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(PolicyInvalid) as caught:
        policy.load(str(file))
    assert place in caught.value.where


def test_an_unknown_policy_names_the_built_in_ones():
    """Absence explains itself."""
    with pytest.raises(PolicyInvalid, match="strict, research"):
        policy.load("nobody-wrote-this")


def test_a_policy_that_extends_itself_is_refused(tmp_path):
    """A circle ends in our error, not in the interpreter's."""
    file = tmp_path / "policy.toml"
    file.write_text(f'name = "x"\nversion = 1\ndescription = ""\nextends = "{file}"')
    with pytest.raises(PolicyInvalid, match="circle"):
        policy.load(str(file))
