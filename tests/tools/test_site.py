"""The site: its pages as they are laid out, and what make site makes of them."""

import html.parser
import pathlib
import shutil
import tomllib
import urllib.parse

import pytest
from chromium import browser

from tools import site

BUILT = site.OUT / "site"


def relink(text, page="docs/forking.md"):
    linked = set()
    return site.relink(pathlib.Path(page), text, linked), {path.as_posix() for path in linked}


@pytest.mark.parametrize(
    ("link", "leads_to", "names"),
    [
        ("data.md#classes", "data.md#classes", "docs/data.md"),
        ("../README.md", "../index.md", "README.md"),
        ("write", "write/index.md", "docs/write"),
        ("../gan/losses.py", "../gan/losses.py" + ".md", "gan/losses.py"),
        ("../gan/penalties", "../gan/penalties" + "/index.md", "gan/penalties"),
        ("gallery/acgan.png", "gallery/acgan.png", "docs/gallery/acgan.png"),
    ],
)
def test_a_link_leads_to_where_the_site_has_it(link, leads_to, names):
    assert relink(f"See [this]({link}).") == (f"See [this]({leads_to}).", {names})


def test_what_is_no_link_of_ours_stays():
    text = "[a](https://example.org/x.py) [b](#here) `[c](d)`\n```\n[e](f)\n```\n"
    assert relink(text) == (text, set())


def test_a_link_that_leads_nowhere_is_named():
    with pytest.raises(site.BrokenLinkError, match=r"docs/forking.md: links to 'daat.md'"):
        relink("[here](daat.md)")


def test_the_reference_has_every_public_module_and_only_those():
    for room in site.ROOMS:
        pages = dict(site.reference(pathlib.Path(room)))
        files = [p.relative_to(site.ROOT) for p in (site.ROOT / room).rglob("*.py")]
        public = [p for p in files if p.name == "__init__.py" or not p.name.startswith("_")]
        dotted = {".".join(p.with_suffix("").parts).removesuffix(".__init__") for p in public}
        assert set(pages) == dotted
        assert len(set(pages.values())) == len(pages)


def leaves(part):
    if isinstance(part, str):
        yield part
    else:
        for inside in part.values() if isinstance(part, dict) else part:
            yield from leaves(inside)


def test_the_menu_has_each_page_once_but_for_those_that_show_a_source(tmp_path):
    site.lay_out(tmp_path)
    settings = tomllib.loads((tmp_path / "zensical.toml").read_text())["project"]
    menu = list(leaves(settings["nav"]))
    pages = tmp_path / settings["docs_dir"]
    reference = {
        f"reference/{p.relative_to(pages / 'reference')}" for p in pages.glob("reference/**/*.md")
    }
    assert len(menu) == len(set(menu))
    assert set(menu) == reference | {site.place(page) for page in site.pages()}
    shown = (pages / "trainers" / "vae_gan.py.md").read_text()
    assert (site.ROOT / "trainers" / "vae_gan.py").read_text() in shown


# Of the site itself. .ci/run makes it first.


@pytest.fixture(scope="module")
def built():
    if not (BUILT / "index.html").is_file():
        pytest.skip("build/site is not there: make site")
    return BUILT


class Page(html.parser.HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values.get("id"), values.get("name")}
        address = values.get("src") or values.get("href")
        if address:
            (self.links if tag == "a" else self.loaded).append(address)


def test_every_link_of_the_site_leads_somewhere(built):
    pages = {path: Page(path) for path in built.rglob("*.html") if path.name != "404.html"}
    lost = []
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme:
                lost += [(path, link)] if link in page.loaded else []
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve()
            target = target if parts.path else path
            anchors = pages[target].anchors if target in pages else ()
            if not target.is_file() or (parts.fragment and parts.fragment not in anchors):
                lost.append((path, link))
    assert len(pages) > 150
    assert lost == []


FOUND = """new Promise(done => {
  const every = root => [...root.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? every(e.shadowRoot) : [])]);
  const poll = setInterval(() => {
    const found = every(document).filter(e => %s);
    if (found.length) { clearInterval(poll); done(%s); }
  }, 50);
})"""


def test_the_site_is_searched_from_a_file_without_a_network(built, tmp_path):
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        pytest.skip("Chromium is not installed")
    with browser(executable, tmp_path) as tab:
        tab.open((built / "index.html").as_uri())
        tab.evaluate("document.querySelector('.md-search__button').click()")
        tab.evaluate(FOUND % ("e.role == 'combobox'", "found[0].focus()"))
        tab.call("Input.insertText", text="Miyato hinge")
        wanted = "e.tagName == 'A' && /losses.*hinge/.test(e.href)"
        assert tab.evaluate(FOUND % (wanted, "found[0].href")).startswith(built.as_uri())
        assert {address.partition(":")[0] for address in tab.requested()} <= {"file", "data"}
