"""Reading the page by which a web server lists a folder: Apache's, nginx', Jenkins', or another with plain links."""

from html.parser import HTMLParser

from oomdb.remote.address import FolderAddress


def list_links(page: str, address: FolderAddress) -> list[str]:
    """Return the names of what lies in a folder, each once, in the order of the page; folders have no mark."""
    parser = _LinkParser()
    parser.feed(page)
    parser.close()
    names = (address.find_name(href) for href in parser.hrefs)
    return list(dict.fromkeys(name for name in names if name))


class _LinkParser(HTMLParser):
    """Collects what links point to; of no other tag anything is taken, not even of `<base>`."""

    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a link leads."""
        if tag == "a":
            self.hrefs.extend(value for name, value in attrs if name == "href" and value)
