//! For fuzz targets: what a hostile worker may send.

use super::wire::{FromWorker, ToWorker, decode, encode};
use serde::{Serialize, de::DeserializeOwned};

/// Reads bytes as each message. What can be read can be written and read again, and is the same.
///
/// # Panics
///
/// Where that does not hold.
pub fn messages(bytes: &[u8]) {
    same::<FromWorker>(bytes);
    same::<ToWorker>(bytes);
}

#[expect(
    clippy::panic,
    reason = "a fuzz target tells what it found by panicking"
)]
fn same<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(message) = decode::<T>(bytes) else {
        return;
    };
    let Ok(frame) = encode(&message) else {
        panic!("a message that was read cannot be written");
    };
    let again = frame.get(4..).map(decode::<T>);
    let Some(Ok(again)) = again else {
        panic!("a message that was written cannot be read");
    };
    assert!(
        encode(&again).is_ok_and(|second| second == frame),
        "a message changed on its way"
    );
}
