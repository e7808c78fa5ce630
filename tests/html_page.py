"""What a test looks at in a page."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """A page's tags, links and their targets, sources, rows of cells, and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.anchors, self.sources = [], [], set(), []
        self.rows, self.text, self.in_cell = [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.links += [attributes["href"]] if "href" in attributes else []
        self.sources += [attributes["src"]] if "src" in attributes else []
        self.anchors |= {attributes["id"]} if "id" in attributes else set()
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell &= tag not in ("td", "th")

    def handle_data(self, data):
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] += data

    def row(self, label):
        """Returns the first row that begins with the label."""
        return next(row for row in self.rows if row and row[0] == label)
