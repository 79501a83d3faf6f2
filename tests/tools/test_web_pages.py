import pytest

from anabranch.tools.web_pages import MAX_DEPTH, visible_text


def blocks(page: str) -> list[str]:
    return visible_text(page)[1].split("\n\n")


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<!doctype html><head><meta charset=utf-8><title>T</title><body><p>Built in 1932.", ["Built in 1932."]),
        ("<title>T</title><p>One<p>Two", ["One", "Two"]),
        ("<ul><li>One<li>Two</ul>", ["One", "Two"]),
        ("<dl><dt>Ferry<dd>1874<dt>Bridge<dd>1932</dl>", ["Ferry", "1874", "Bridge", "1932"]),
        ("<table><tr><th>Town<th>Since<tr><td>Hollin<td>1874</table>", ["Town: Hollin; Since: 1874"]),
        ("<table><thead><tr><td>Town<td>Since<tbody><tr><td>Hollin<td>1874</table>", ["Town: Hollin; Since: 1874"]),
        ("<table><tr><td>Hollin<td>1874<tr><td>Brim<td>1932</table>", ["Hollin | 1874", "Brim | 1932"]),
        ("<table><tr><th>Opened<td>1931<tr><th>Length<td>342 m</table>", ["Opened: 1931", "Length: 342 m"]),
        (
            "<table><caption>Ferries</caption><tr><th>Town<th>Since<tr><td>Hollin<td>1874</table>",
            ["Ferries", "Town: Hollin; Since: 1874"],
        ),
        ("<table><tr><td><p>Menu<td><p>The ferry<p>It runs.</table>", ["Menu", "The ferry", "It runs."]),
        ("<select><option>One<option>Two</select>", ["One Two"]),
        ("<p>Craigs<b>list</b> and Craigs<wbr>list", ["Craigslist and Craigslist"]),
        ("One<br>Two", ["One\nTwo"]),
        ("10<sup>6</sup> m<sup>-2</sup>, 19<sup>th</sup>, H<sub>2</sub>O", ["10⁶ m⁻², 19th, H₂O"]),
        ("<ruby>東<rt>とう</rt>京<rt>きょう</rt></ruby>", ["東京"]),
        ("<p>A &lt; B &amp;copy; caf&eacute; &#x1F6A2;", ["A < B &copy; café 🚢"]),
        ("<p>a<!-- comment -->b<![CDATA[data]]>c", ["abc"]),
        (
            "<?xml version='1.0'?><html><head><title/><script src='x'/></head><body><p>Shown</p></body></html>",
            ["Shown"],
        ),
        ("<p>unclosed <b>x", ["unclosed x"]),
        ("no tag at all", ["no tag at all"]),
        ("", [""]),
    ],
)
def test_reads_what_a_browser_shows(page: str, text: list[str]) -> None:
    assert blocks(page) == text


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>secret</p>",
        "<ul><li hidden>secret<li>Shown</ul>",
        "<div hidden><p>secret</div>",
        "<div style='color: red; display:none'>secret</div>",
        "<p style='visibility: hidden'>secret</p>",
        "<script>secret</script>",
        "<style>secret {}</style>",
        "<template><p>secret</p></template>",
        "<noscript>secret</noscript>",
        "<svg><title>secret</title></svg>",
        "<iframe>secret</iframe>",
        "<dialog>secret</dialog>",
        "<textarea hidden>secret</textarea>",
        "<!-- secret -->",
    ],
)
def test_hidden_text_stays_hidden(hidden: str) -> None:
    text = visible_text(f"<title>T</title><p>Before</p>{hidden}<p>After</p>")[1]
    assert "secret" not in text
    assert text.startswith("Before")
    assert text.endswith("After")


def test_title_and_headings() -> None:
    title, text, headings = visible_text("<title>A\n page</title><h1>The <i>ferry</i></h1><p>x<h3>Fares\n today</h3>5")
    assert title.split() == ["A", "page"]
    assert [(h.level, h.title) for h in headings] == [(1, "The ferry"), (3, "Fares today")]
    assert all(h.line in text.split("\n\n") for h in headings)


def test_rows_of_a_large_table_have_the_names_of_their_columns() -> None:
    rows = "".join(f"<tr><td>Town {n}<td>{1900 + n}<td>" for n in range(6))
    found = blocks(f"<table><tr><th>Town<th>Since<th>Note{rows}</table><p>End")
    assert found == [*(f"Town: Town {n}; Since: {1900 + n}" for n in range(6)), "End"]


def test_layout_tables_stay_text() -> None:
    inner = "<table><tr><th>A<th>B<tr><td>1<td>2</table>"
    assert blocks(f"<table><tr><th>X<th>Y{f'<tr><td>{inner}<td>z' * 5}</table>").count("A: 1; B: 2") == 5


@pytest.mark.parametrize("tag", ["div", "b", "table", "span", "section", "font"])
def test_deep_nesting_is_read(tag: str) -> None:
    depth = 50 * MAX_DEPTH
    page = f"<{tag}>" * depth + "<p>deep</p>" + f"</{tag}>" * depth + "<p>after</p>"
    assert set(" ".join(blocks(page)).split()) == {"deep", "after"}


def test_long_pages_of_unclosed_elements_keep_their_blocks() -> None:
    assert blocks("<p>word" * 5000) == ["word"] * 5000
