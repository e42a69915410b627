//! The header `link`, by which servers name the next page of a list.

/// The first target with that relation in the values of `link` headers, as written.
pub(super) fn find<'a>(values: impl Iterator<Item = &'a str>, rel: &str) -> Option<&'a str> {
    values.flat_map(Links).find_map(|(target, parameters)| {
        let relations = relations(parameters)?;
        let mut words = relations.split_ascii_whitespace();
        words
            .any(|word| word.eq_ignore_ascii_case(rel))
            .then_some(target)
    })
}

/// The links of one header: target and parameters.
struct Links<'a>(&'a str);

impl<'a> Iterator for Links<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (_, rest) = self.0.split_once('<')?;
        let (target, rest) = rest.split_once('>')?;
        let end = end_of_link(rest);
        let (parameters, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
        self.0 = rest;
        Some((target.trim(), parameters))
    }
}

/// Where the next comma outside of quotes is.
fn end_of_link(text: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

/// The value of the first parameter `rel`.
fn relations(parameters: &str) -> Option<&str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("rel")
            .then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    fn next(value: &str) -> Option<&str> {
        find([value].into_iter(), "next")
    }

    #[test]
    fn the_next_page_is_found() {
        let value = r#"<https://h/x?page=1>; rel="prev", <https://h/x?page=3>; rel="next""#;
        assert_eq!(next(value), Some("https://h/x?page=3"));
        assert_eq!(next("</x,y>; title=\"a, <b>\"; rel=next"), Some("/x,y"));
        assert_eq!(next("</x>; rel=\"last NEXT\""), Some("/x"));
        assert_eq!(
            find(["</a>; rel=last", "</b>; rel=next"].into_iter(), "next"),
            Some("/b")
        );
    }

    #[test]
    fn what_is_no_link_is_none() {
        for value in [
            "",
            "<",
            "</x",
            "</x>",
            "</x>; rel=prev",
            ">; rel=next",
            "</x>; rel",
        ] {
            assert_eq!(next(value), None, "{value}");
        }
    }
}
