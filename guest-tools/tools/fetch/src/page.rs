//! One page of a long text.

use toolcell_guest::{Error, Result};

/// The characters of `text` from `offset` (counted from 1) on, with a note where any are left out.
/// A page that is not the last ends at the end of a line, if there is one in its second half.
pub(crate) fn page(text: &str, offset: usize, limit: usize) -> Result<String> {
    let total = text.chars().count();
    if total == 0 {
        return Ok("[the answer is empty]".to_owned());
    }
    if offset > total {
        let what =
            format!("the answer has {total} characters, so there is none at offset={offset}");
        return Err(Error::invalid_input(what));
    }
    let at = |count: usize| {
        text.char_indices()
            .nth(count)
            .map_or(text.len(), |(at, _)| at)
    };
    let from = at(offset - 1);
    let rest = text.get(from..).unwrap_or_default();
    let mut shown = rest.get(..at(offset - 1 + limit) - from).unwrap_or(rest);
    if shown.len() < rest.len()
        && let Some(newline) = shown
            .rfind('\n')
            .filter(|newline| *newline > shown.len() / 2)
    {
        shown = shown.get(..=newline).unwrap_or(shown);
    }
    let last = offset - 1 + shown.chars().count();
    let mut page = shown.trim_end_matches('\n').to_owned();
    if last < total {
        page.push_str(&format!(
            "\n[characters {offset}-{last} of {total}; go on with offset={}]",
            last + 1
        ));
    } else if offset > 1 {
        page.push_str(&format!("\n[characters {offset}-{last} of {total}]"));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn a_short_text_comes_whole() {
        assert_eq!(page("ä\nb\n", 1, 10).unwrap(), "ä\nb");
        assert_eq!(page("", 1, 10).unwrap(), "[the answer is empty]");
    }

    #[test]
    fn pages_follow_each_other_at_ends_of_lines() {
        let text = "äöü abc\ndef ghi";
        let first = page(text, 1, 10).unwrap();
        assert_eq!(
            first,
            "äöü abc\n[characters 1-8 of 15; go on with offset=9]"
        );
        assert_eq!(
            page(text, 9, 10).unwrap(),
            "def ghi\n[characters 9-15 of 15]"
        );
        assert_eq!(
            page("abcdef", 1, 3).unwrap(),
            "abc\n[characters 1-3 of 6; go on with offset=4]"
        );
    }

    #[test]
    fn an_offset_behind_the_end_is_named() {
        assert!(
            page("abc", 4, 1)
                .unwrap_err()
                .message
                .contains("3 characters")
        );
    }
}
