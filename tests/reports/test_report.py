"""Reports: text is escaped, markup is not, numbers read well."""

import html.parser

import numpy as np

from bigbird.reports import report


class _Balanced(html.parser.HTMLParser):
    """Counts elements left open or closed twice."""

    VOID = frozenset({"meta", "br", "path", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_text_is_escaped_and_markup_kept():
    shown = report.section("A & B", "<script>x</script>", report.table(["<n>"], [["<b>"], [report.mark("<i>")]]))
    assert "<h2>A &amp; B</h2>" in shown
    assert "<p>&lt;script&gt;x&lt;/script&gt;</p>" in shown
    assert "<th>&lt;n&gt;</th>" in shown
    assert "<td>&lt;b&gt;</td>" in shown
    assert "<td><mark>&lt;i&gt;</mark></td>" in shown


def test_markup_added_to_text_is_text_again():
    assert report.paragraph("a " + report.mark("b")) == "<p>a &lt;mark&gt;b&lt;/mark&gt;</p>"
    assert report.paragraph(report.join("a ", report.mark("b"))) == "<p>a <mark>b</mark></p>"


def test_numbers_are_aligned_and_formatted():
    shown = report.table(["name", "n", "share"], [["a", np.int64(67349), 0.5], ["b", None, np.float32(0.25)]])
    assert '<th>name</th><th class="number">n</th><th class="number">share</th>' in shown
    assert '<td>a</td><td class="number">67,349</td><td class="number">0.5000</td>' in shown
    assert '<td>b</td><td class="number">–</td><td class="number">0.2500</td>' in shown


def test_bars_are_scaled_to_the_longest():
    shown = report.bars([("64", 5, "5"), ("128", 20, "20"), ("256", -1, "")])
    assert [part.split("%")[0] for part in shown.split("width:")[1:]] == ["25.00", "100.00", "0.00"]
    assert report.bars([]) == '<table class="bars">\n\n</table>'


def test_matrix_shades_by_share_of_the_row():
    shown = report.matrix(["no", "yes"], ["no", "yes"], [[3, 2], [0, 0]])
    assert "rgba(36,99,166,0.36)" in shown and "rgba(36,99,166,0.26)" in shown
    assert shown.count("rgba(36,99,166,0.06)") == 2


def test_figures_are_inline_and_the_same_each_time():
    from matplotlib.figure import Figure

    def draw() -> report.Html:
        chart = Figure(figsize=(3, 2))
        chart.subplots().plot([0, 1], [1, 0])
        return report.figure(chart, description="loss < 1")

    first = draw()
    assert first == draw()
    assert first.startswith("<figure><svg") and "loss &lt; 1" in first


def test_a_page_is_whole_and_fetches_nothing():
    body = [
        report.section("One", "text", report.tiles([("accuracy", 0.5, "of 2")]), report.record([("text", "a")]), ""),
        report.section("Two", report.bars([("x", 1, "1")]), report.matrix(["a"], ["b"], [[1]]), report.caption("c")),
    ]
    document = report.page("T <1>", body, subtitle="sub & title")
    parser = _Balanced()
    parser.feed(document)
    assert (parser.open, parser.wrong) == ([], [])
    assert "<title>T &lt;1&gt;</title>" in document and "sub &amp; title" in document
    assert "http" not in document and "<script" not in document and "<link" not in document
