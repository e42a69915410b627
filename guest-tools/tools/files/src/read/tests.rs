use super::page;
use crate::limits::{LINE_CHARACTERS, PAGE_BYTES};
use toolcell_guest::ErrorKind;

const THREE: &str = "one\ntwo\r\nthree";

#[test]
fn a_short_file_comes_whole_and_without_a_note() {
    assert_eq!(page(THREE, 1, 2000).unwrap(), "one\ntwo\nthree\n");
}

#[test]
fn a_page_says_where_to_go_on() {
    assert_eq!(
        page(THREE, 1, 2).unwrap(),
        "one\ntwo\n[lines 1-2 of 3; go on with offset=3]\n"
    );
    assert_eq!(page(THREE, 3, 2).unwrap(), "three\n[lines 3-3 of 3]\n");
}

#[test]
fn an_offset_behind_the_end_is_named() {
    let error = page(THREE, 4, 1).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert_eq!(
        error.message,
        "the file has 3 lines, so there is none at offset=4"
    );
}

#[test]
fn an_empty_file_is_no_error() {
    assert_eq!(page("", 1, 10).unwrap(), "[the file is empty]");
}

#[test]
fn a_long_line_is_cut_between_characters() {
    let page = page(&"ä".repeat(LINE_CHARACTERS + 7), 1, 1).unwrap();
    assert!(page.starts_with(&"ä".repeat(LINE_CHARACTERS)));
    assert!(page.ends_with("ä[… 7 more characters in this line]\n"));
}

#[test]
fn a_page_is_bounded_in_bytes() {
    let text = format!("{}\n", "x".repeat(1000)).repeat(500);
    let page = page(&text, 1, 500).unwrap();
    assert!(page.len() < PAGE_BYTES + 100);
    assert!(
        page.ends_with("[lines 1-98 of 500; go on with offset=99]\n"),
        "{}",
        page.len()
    );
}
