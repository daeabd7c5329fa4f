from normtest_tf.report.document import to_html

TEXT = """# Which?

![Curves](figure1.png)

| a | b |
| --- | --- |
| 1 | 2 |
"""


def test_a_page_shows_svg_figures_and_scrolling_tables(tmp_path):
    (tmp_path / "figure1.svg").write_text("<svg/>")
    page = to_html(TEXT, tmp_path)
    assert "<title>Which?</title>" in page
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+"' in page
    assert '<div class="scroll"><table>' in page
    assert "figure1" not in page
