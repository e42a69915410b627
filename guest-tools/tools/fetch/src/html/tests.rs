use toolcell_guest::http::Url;

fn markdown(html: &str) -> String {
    super::markdown(html, &Url::parse("https://h/a/b").unwrap())
}

#[track_caller]
fn gives(html: &str, expected: &str) {
    assert_eq!(markdown(html), expected, "{html}");
}

#[test]
fn headings_paragraphs_and_breaks() {
    gives(
        "<!doctype html><title>T</title><h1>One</h1>\n<p>a\n b<br>c</p>\n\n<p>d</p><hr><h3> e </h3>",
        "T\n\n# One\n\na b\nc\n\nd\n\n---\n\n### e",
    );
}

#[test]
fn emphasis_and_code() {
    gives("a <b>b</b> <i>c</i>, <code>d</code>!", "a **b** *c*, `d`!");
    gives("x<b></b>y <b>z", "xy **z");
    gives("<em>a <strong>b</em> c</strong>", "*a **b*** c");
}

#[test]
fn links_are_absolute_and_only_those_that_lead_somewhere() {
    gives(
        "see <a href='/x?q=1&amp;r'>this  page</a>.",
        "see [this page](https://h/x?q=1&r).",
    );
    gives(
        "<a href=c>c</a> <a href=\"#top\">top</a>",
        "[c](https://h/a/c) top",
    );
    gives(
        "<a href='javascript:x()'>run</a> <a href='/x'></a>end",
        "run end",
    );
}

#[test]
fn images_are_named_by_their_words() {
    gives(
        "<img src=x.png alt='A cat'><img src=y.png>",
        "![A cat](https://h/a/x.png)",
    );
}

#[test]
fn lists_nest_and_count() {
    gives(
        "<ul><li>a<li>b<ul><li>c</ul></li><li>d</ul>e",
        "- a\n- b\n  - c\n- d\n\ne",
    );
    gives("<ol><li>a<p>more</p><li>b</ol>", "1. a\n\n  more\n\n2. b");
}

#[test]
fn quotations_and_preformatted_text_keep_their_form() {
    gives(
        "<blockquote><p>a</p><p>b</p></blockquote>c",
        "> a\n>\n> b\n\nc",
    );
    gives(
        "<pre><code>if a &lt; b {\n    c\n}</code></pre>d",
        "```\nif a < b {\n    c\n}\n```\n\nd",
    );
}

#[test]
fn tables_have_a_line_below_their_head() {
    gives(
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>x",
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n\nx",
    );
}

#[test]
fn what_nobody_sees_is_left_out() {
    gives(
        "a<script>if (a</b) '<p>'</script><style>p{}</style><!-- x --><svg><title>t</title></svg>b",
        "ab",
    );
}

#[test]
fn entities_are_resolved_once() {
    gives(
        "&lt;b&gt; &amp;amp; &euro;&#8364;&#x20AC; &unknown; & &#0; a&b",
        "<b> &amp; €€€ &unknown; & \u{fffd} a&b",
    );
}

#[test]
fn plain_words_have_no_markup() {
    let url = Url::parse("https://h/").unwrap();
    let html = "<h1>A</h1><p>b <b>c</b> <a href=/x>d</a><ul><li>e</ul>";
    assert_eq!(super::plain(html, &url), "A\n\nb c d\n\n- e");
}

#[test]
fn broken_pages_end() {
    for html in [
        "<",
        "<a",
        "<a href",
        "<a href='",
        "<!--",
        "<!",
        "</",
        "<script>",
        "&#",
        "&#x",
        "&",
        "<a =\"=>x",
        "</ul></li></a></pre></blockquote>x",
        "<p/ / =a==>",
    ] {
        let _ = markdown(html);
    }
}

/// A page that is nested without end costs no more than its length.
#[test]
fn deep_nesting_costs_nothing() {
    for tag in [
        "div",
        "blockquote",
        "ul",
        "ul><li",
        "b",
        "table",
        "table><tr><td",
        "a href=x",
        "pre",
        "svg",
    ] {
        let html = format!("<{tag}>").repeat(20_000) + "x";
        assert!(markdown(&html).len() < 2_000_000, "{tag}");
    }
}

#[test]
fn text_that_grows_beyond_its_page_is_cut() {
    for inner in [
        "<p>x".repeat(1_000_000),
        format!("<pre>{}</pre>x", "\n".repeat(1_000_000)),
    ] {
        let text = markdown(&("<blockquote>".repeat(12) + &inner));
        assert!(
            text.len() < crate::limits::TEXT_BYTES + 200,
            "{}",
            text.len()
        );
        assert!(text.ends_with("[the rest is left out: the page has too much text]"));
    }
}

/// Pieces of markup in any order: no input panics.
#[test]
fn any_text_gets_an_answer() {
    let pieces = [
        "<",
        ">",
        "</",
        "a",
        "b",
        " ",
        "=",
        "'",
        "\"",
        "pre>",
        "<ul>",
        "<li>",
        "<td>",
        "<tr>",
        "<table>",
        "&",
        "#",
        ";",
        "x",
        "ü",
        "\n",
        "<!--",
        "-->",
        "<a href=",
        "</a>",
        "<script>",
        "</script>",
        "<b>",
        "</b>",
    ];
    let mut state = 5_u64;
    for _ in 0..20_000 {
        let mut html = String::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            html.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        let _ = markdown(&html);
    }
}
