use serde_json::json;

use super::*;

#[test]
fn text_is_reckoned_by_its_bytes_and_pictures_by_the_piece() {
    assert_eq!(text(&"x".repeat(3_500)), 1_000);
    assert_eq!(text(""), 0);
    assert_eq!(text("a"), 1);
    let picture = Block::image("image/png", &"A".repeat(4_000_000));
    assert_eq!(block(&picture), PICTURE_TOKENS + FRAME_TOKENS);
    let pdf = |bytes| {
        let source = json!({ "type": "base64", "data": "A".repeat(bytes) });
        block(&Block::Other(
            json!({ "type": "document", "source": source }),
        ))
    };
    assert_eq!(pdf(10), PICTURE_TOKENS + FRAME_TOKENS);
    assert_eq!(pdf(250_000), 3 * PICTURE_TOKENS + FRAME_TOKENS);
    let thought = json!({ "type": "thinking", "thinking": "abc", "signature": "S".repeat(9_000) });
    assert!(block(&Block::Other(thought)) < 10);
}

#[test]
fn estimates_follow_what_the_server_counts() {
    let mut calibration = Calibration::default();
    assert_eq!(calibration.apply(100), 100);
    calibration.learn(1_000, 1_500);
    assert_eq!(calibration.apply(100), 150);
    // Nonsense and silence.
    calibration.learn(1_000, 1_000_000);
    assert_eq!(calibration.apply(100), 200);
    calibration.learn(1_000, 1);
    assert_eq!(calibration.apply(100), 50);
    calibration.learn(1_000, 0);
    assert_eq!(calibration.apply(100), 50);
    calibration.learn(u64::MAX, u64::MAX);
    assert_eq!(calibration.apply(u64::MAX), u64::MAX);
}
