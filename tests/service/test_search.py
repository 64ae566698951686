"""Words find slides by the beginning of what the list shows, and nothing a caller may not see."""

from coverslip.archive.states import State


def test_words_narrow_the_list(house):
    """An id, a reason and a format; several words must all fit; a percent sign is no wildcard."""
    sid, other = house.slide(State.QUARANTINED), house.slide(State.IN_REVIEW)
    with house.client("curator") as client:

        def found(words):
            return {slide["sid"] for slide in client.get("/api/v1/slides", params={"q": words}).json()["slides"]}

        assert found(sid[:6].upper()) == {sid}
        assert sid in found("unknown-str")
        assert sid not in found("aperio")
        assert found(f"aperio {other}") == {other}
        assert found(f"{sid} {other}") == found("%") == set()
        page = client.get("/slides", params={"q": "nothing-like-it"}, headers={"Accept": "text/html"}).text
        assert "No slide fits" in page
        assert sid in client.get("/slides.json", params={"q": sid}).text
        assert client.get("/api/v1/slides", params={"q": "x" * 101}).status_code == 422


def test_a_search_shows_nobody_more(house):
    """Who is not signed in finds what is released, and only that."""
    sid = house.slide(State.IN_REVIEW)
    with house.client() as client:
        assert client.get("/api/v1/slides", params={"q": sid}).json()["slides"] == []
