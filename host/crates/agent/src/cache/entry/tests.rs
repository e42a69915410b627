use proptest::prelude::*;
use toolcell::Secret;

use super::*;
use crate::{
    testing::{reply, tool_use},
    wire::{Block, StopReason},
};

const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn key(seed: u8) -> Key {
    Key::from_bytes([seed; 32])
}

fn entry() -> Entry {
    let content = vec![
        Block::Other(serde_json::json!({ "type": "thinking", "thinking": "", "signature": "s" })),
        Block::text("ü"),
        tool_use("t1", "read", serde_json::json!({ "n": 1.5 })),
    ];
    Entry::new(reply(StopReason::ToolUse, content), Some(7), at(0), HOUR)
}

fn shared(secret: &str) -> SharedKey {
    SharedKey::new(&Secret::new(secret).unwrap())
}

#[test]
fn an_answer_comes_back_whole_until_its_time_is_over() {
    for shared in [None, Some(shared("k3y-b4tt3ry-0x"))] {
        let bytes = entry().seal(&key(1), shared.as_ref()).unwrap();
        let open = |now, ttl| Entry::open(&bytes, &key(1), shared.as_ref(), now, ttl);
        assert_eq!(open(at(0), HOUR), Ok(entry()));
        assert_eq!(open(at(3599), HOUR), Ok(entry()));
        assert_eq!(open(at(3600), HOUR), Err(Unfit::Ended));
        // A host that keeps answers for a shorter time does not take older ones.
        assert_eq!(open(at(60), HOUR / 60), Err(Unfit::Ended));
        // One that keeps them longer cannot make them live longer.
        assert_eq!(open(at(3600), HOUR * 2), Err(Unfit::Ended));
    }
}

#[test]
fn an_answer_from_the_future_is_none() {
    let bytes = entry().seal(&key(1), None).unwrap();
    let before = |seconds| at(0) - Duration::from_secs(seconds);
    assert!(Entry::open(&bytes, &key(1), None, before(299), HOUR).is_ok());
    let early = Entry::open(&bytes, &key(1), None, before(301), HOUR);
    assert_eq!(early, Err(Unfit::Ended));
}

#[test]
fn an_answer_is_found_under_its_own_key_and_with_the_shared_key_alone() {
    let (one, other) = (shared("k3y-b4tt3ry-0x"), shared("k3y-b4tt3ry-0y"));
    let open = |bytes: &[u8], number, shared| Entry::open(bytes, &key(number), shared, at(0), HOUR);
    let plain = entry().seal(&key(1), None).unwrap();
    let sealed = entry().seal(&key(1), Some(&one)).unwrap();
    assert!(open(&sealed, 1, Some(&one)).is_ok());
    assert_eq!(open(&plain, 2, None), Err(Unfit::NotOurs));
    assert_eq!(open(&sealed, 2, Some(&one)), Err(Unfit::NotOurs));
    assert_eq!(open(&sealed, 1, Some(&other)), Err(Unfit::NotOurs));
    assert_eq!(open(&sealed, 1, None), Err(Unfit::NotOurs));
    // Whoever can write to the store and does not know the key.
    assert_eq!(open(&plain, 1, Some(&one)), Err(Unfit::NotOurs));
}

proptest! {
    #[test]
    fn a_changed_byte_is_no_answer(position in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut bytes = entry().seal(&key(1), None).unwrap();
        let at_byte = position.index(bytes.len());
        bytes[at_byte] ^= change;
        prop_assert_eq!(Entry::open(&bytes, &key(1), None, at(0), HOUR), Err(Unfit::NotOurs));
        bytes[at_byte] ^= change;
        bytes.truncate(at_byte);
        prop_assert_eq!(Entry::open(&bytes, &key(1), None, at(0), HOUR), Err(Unfit::NotOurs));
    }

    #[test]
    fn any_bytes_are_no_answer(bytes in any::<Vec<u8>>()) {
        let form = [FORM.as_slice(), &bytes].concat();
        for bytes in [bytes, form] {
            prop_assert_eq!(Entry::open(&bytes, &key(1), None, at(0), HOUR), Err(Unfit::NotOurs));
        }
    }
}
