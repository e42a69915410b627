//! What each element becomes.

use toolcell_guest::http::Url;

use super::tokens::{Attributes, Token, Tokens};
use super::writer::Writer;

/// The page as Markdown with links, or as plain words where no `url` is given.
pub(super) fn render(html: &str, url: Option<&Url>) -> String {
    let mut renderer = Renderer {
        writer: Writer::default(),
        url,
        hidden: None,
        preformatted: 0,
        links: Vec::new(),
        marks: Vec::new(),
        lists: Vec::new(),
        cells: None,
    };
    for token in Tokens::new(html) {
        if renderer.writer.is_full() {
            return renderer.writer.into_text()
                + "\n[the rest is left out: the page has too much text]";
        }
        renderer.token(token);
    }
    renderer.writer.into_text()
}

struct Renderer<'a> {
    writer: Writer,
    url: Option<&'a Url>,
    /// The element whose content is not shown, and how deep it is nested in itself.
    hidden: Option<(String, usize)>,
    /// How many `pre` are open.
    preformatted: usize,
    /// The open links: where each began, and where it leads.
    links: Vec<(usize, Option<String>)>,
    /// The open emphases: the element, where it began, and its mark.
    marks: Vec<(String, usize, &'static str)>,
    /// The open lists, each with the number of its next item; 0 for one with bullets.
    lists: Vec<usize>,
    /// The cells of the open table's row, and whether it is the first row.
    cells: Option<(usize, bool)>,
}

/// Elements whose content nobody sees.
const HIDDEN: [&str; 9] = [
    "script", "style", "noscript", "template", "svg", "iframe", "object", "canvas", "select",
];

/// Elements that start and end a paragraph.
const PARAGRAPHS: [&str; 12] = [
    "p", "section", "article", "main", "header", "footer", "nav", "aside", "figure", "dl", "form",
    "details",
];

/// Elements that start and end a line.
const LINES: [&str; 8] = [
    "div",
    "dt",
    "dd",
    "address",
    "figcaption",
    "summary",
    "fieldset",
    "option",
];

fn heading(name: &str) -> Option<&'static str> {
    ["h1", "h2", "h3", "h4", "h5", "h6"]
        .iter()
        .zip(["# ", "## ", "### ", "#### ", "##### ", "###### "])
        .find_map(|(heading, mark)| (*heading == name).then_some(mark))
}

fn mark(name: &str) -> Option<&'static str> {
    match name {
        "strong" | "b" => Some("**"),
        "em" | "i" => Some("*"),
        "del" | "s" => Some("~~"),
        "code" | "kbd" | "samp" => Some("`"),
        _ => None,
    }
}

impl Renderer<'_> {
    fn token(&mut self, token: Token<'_>) {
        if let Some((hidden, depth)) = &mut self.hidden {
            match token {
                Token::Start(name, _) if name == *hidden => *depth += 1,
                Token::End(name) if name == *hidden => *depth -= 1,
                _ => {}
            }
            if *depth == 0 {
                self.hidden = None;
            }
            return;
        }
        match token {
            Token::Text(text) if self.preformatted > 0 => self.writer.preformatted(&text),
            Token::Text(text) => self.writer.words(&text),
            Token::Start(name, attributes) => self.start(&name, attributes),
            Token::End(name) => self.end(&name),
        }
    }

    fn is_plain(&self) -> bool {
        self.url.is_none()
    }

    fn start(&mut self, name: &str, attributes: Attributes<'_>) {
        if HIDDEN.contains(&name) {
            self.hidden = Some((name.to_owned(), 1));
        } else if let Some(mark) = heading(name) {
            self.writer.break_line(2);
            self.open_mark(mark);
        } else if let Some(mark) = mark(name) {
            self.emphasise(name, mark);
        } else if PARAGRAPHS.contains(&name) {
            self.writer.break_line(2);
        } else if LINES.contains(&name) {
            self.writer.break_line(1);
        } else {
            self.start_special(name, attributes);
        }
    }

    fn start_special(&mut self, name: &str, attributes: Attributes<'_>) {
        match name {
            "title" => self.writer.break_line(2),
            "br" => self.writer.break_line(1),
            "hr" => {
                self.writer.break_line(2);
                self.open_mark("---");
                self.writer.break_line(2);
            }
            "pre" => self.start_pre(),
            "blockquote" => {
                self.writer.break_line(2);
                self.writer
                    .indent(if self.is_plain() { "  " } else { "> " });
            }
            "ul" | "ol" => self.start_list(usize::from(name == "ol")),
            "li" => self.start_item(),
            "a" => self.start_link(attributes),
            "img" => self.image(attributes),
            "table" => {
                self.writer.break_line(2);
                self.cells = Some((0, true));
            }
            "tr" => {
                self.writer.break_line(1);
                self.cells = self.cells.map(|(_, first)| (0, first));
            }
            "td" | "th" => self.start_cell(),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        if heading(name).is_some() || PARAGRAPHS.contains(&name) || name == "title" {
            self.writer.break_line(2);
        } else if LINES.contains(&name) {
            self.writer.break_line(1);
        } else if mark(name).is_some() {
            self.end_emphasis(name);
        } else {
            self.end_special(name);
        }
    }

    fn end_special(&mut self, name: &str) {
        match name {
            "pre" if self.preformatted > 0 => {
                self.preformatted -= 1;
                self.writer.break_line(1);
                self.open_mark("```");
                self.writer.break_line(2);
            }
            "blockquote" => {
                self.writer.dedent();
                self.writer.break_line(2);
            }
            "ul" | "ol" if self.lists.pop().is_some() => {
                self.writer.dedent();
                self.writer
                    .break_line(if self.lists.is_empty() { 2 } else { 1 });
            }
            "li" => self.writer.break_line(1),
            "a" => self.end_link(),
            "table" => {
                self.cells = None;
                self.writer.break_line(2);
            }
            "tr" => self.end_row(),
            _ => {}
        }
    }

    /// Writes markup, except where plain words are wanted.
    fn open_mark(&mut self, mark: &str) {
        if !self.is_plain() {
            self.writer.open(mark);
        }
    }

    fn emphasise(&mut self, name: &str, mark: &'static str) {
        if self.is_plain() || self.preformatted > 0 || self.marks.len() >= crate::limits::NESTING {
            return;
        }
        self.writer.start();
        self.marks
            .push((name.to_owned(), self.writer.position(), mark));
        self.writer.close(mark);
    }

    fn end_emphasis(&mut self, name: &str) {
        let Some(index) = self.marks.iter().rposition(|(open, ..)| open == name) else {
            return;
        };
        for (_, position, mark) in self.marks.split_off(index).into_iter().rev() {
            if !self.writer.undo_if_only(position, mark) {
                self.writer.close(mark);
            }
        }
    }

    fn start_pre(&mut self) {
        self.writer.break_line(2);
        self.open_mark("```");
        self.writer.break_line(1);
        self.writer.start();
        self.preformatted += 1;
    }

    fn start_list(&mut self, first: usize) {
        self.writer
            .break_line(if self.lists.is_empty() { 2 } else { 1 });
        self.lists.push(first);
        self.writer.indent("  ");
    }

    fn start_item(&mut self) {
        self.writer.break_line(1);
        // The mark stands where the indentation of the list's text begins.
        let listed = !self.lists.is_empty();
        if listed {
            self.writer.dedent();
        }
        match self.lists.last_mut() {
            Some(next) if *next > 0 => {
                let mark = format!("{next}. ");
                *next += 1;
                self.writer.open(&mark);
            }
            _ => self.writer.open("- "),
        }
        if listed {
            self.writer.indent("  ");
        }
    }

    fn start_link(&mut self, attributes: Attributes<'_>) {
        self.end_link(); // links do not nest: a new one ends the one before
        let target = self
            .url
            .zip(attributes.get("href"))
            .and_then(|(url, link)| {
                let here = link.trim_start().starts_with('#');
                url.join(&link)
                    .filter(|_| !here)
                    .map(|target| target.to_string())
            });
        if target.is_some() {
            self.writer.start();
        }
        self.links.push((self.writer.position(), target.clone()));
        if target.is_some() {
            self.writer.close("[");
        }
    }

    fn end_link(&mut self) {
        if let Some((position, Some(target))) = self.links.pop()
            && !self.writer.undo_if_only(position, "[")
        {
            self.writer.close(&format!("]({target})"));
        }
    }

    fn image(&mut self, attributes: Attributes<'_>) {
        let words = attributes.get("alt").unwrap_or_default();
        if words.trim().is_empty() {
            return;
        }
        let source = attributes.get("src").unwrap_or_default();
        match self
            .url
            .and_then(|url| url.join(&source))
            .filter(|_| !source.is_empty())
        {
            Some(source) => self.writer.open(&format!("![{}]({source})", words.trim())),
            None => self.writer.words(&words),
        }
    }

    fn start_cell(&mut self) {
        if let Some((cells, _)) = &mut self.cells {
            *cells += 1;
            let first = *cells == 1;
            match self.is_plain() {
                true if first => {}
                true => self.writer.open(" "),
                false if first => self.writer.open("| "),
                false => self.writer.open(" | "),
            }
        }
    }

    fn end_row(&mut self) {
        let Some((cells, first)) = &mut self.cells else {
            return;
        };
        let (count, was_first) = (std::mem::take(cells), std::mem::replace(first, false));
        if count > 0 && !self.is_plain() {
            self.writer.close(" |");
            if was_first {
                self.writer.break_line(1);
                self.writer.open(&format!("|{}", " --- |".repeat(count)));
            }
        }
        self.writer.break_line(1);
    }
}
