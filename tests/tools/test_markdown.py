from anabranch.tools.markdown import read_markdown

TEXT = """\
intro

# The *Ferry* #

Setext
------

```
# no heading
```

#hashtag

- item
  ## In a list
"""


def test_headings_are_those_of_commonmark() -> None:
    title, text, headings = read_markdown(TEXT)
    assert title == "The *Ferry*"
    assert [(h.level, h.title) for h in headings] == [(1, "The *Ferry*"), (2, "Setext"), (2, "In a list")]
    assert text == TEXT
    assert all(h.line in [line.strip() for line in text.split("\n")] for h in headings)


def test_front_matter_is_no_heading_and_names_the_title() -> None:
    title, text, headings = read_markdown('---\r\ntitle: "Ferry guide"\r\ndate: x\r\n---\r\n\r\n# Fares\r\n')
    assert title == "Ferry guide"
    assert [h.title for h in headings] == ["Fares"]
    assert text.startswith("---\ntitle")
    assert read_markdown("---\nno end\n\n# Fares")[0] == "Fares"


def test_rows_of_a_large_table_have_the_names_of_their_columns() -> None:
    rows = "\n".join(f"| Town {n} | {1900 + n} | a \\| b |" for n in range(5))
    text = read_markdown(f"# Towns\n\n| Town | Since | Note |\n|---|--:|---|\n{rows}\n\nAfter.\n\n## End\n")[1]
    lines = [line for line in text.split("\n") if line]
    assert lines[1] == "Town: Town 0; Since: 1900; Note: a | b"
    assert len(lines) == 8
    assert lines[-2:] == ["After.", "## End"]


def test_small_tables_stay_as_they_are() -> None:
    table = "| Town | Since |\n|---|---|\n| Hollin | 1874 |"
    assert read_markdown(table)[1] == table
