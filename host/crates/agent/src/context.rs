//! What a model is told, and how much of it.

use serde::Serialize;

use crate::wire::ModelRequest;

/// A token has about so many bytes of text, halves counted as two.
const HALF_BYTES_PER_TOKEN: u64 = 7;

/// About how many tokens the prompt of a request has. It is reckoned from the length of its text, and rather too much
/// than too little.
pub fn estimate(request: &ModelRequest) -> u64 {
    let system = request.system.as_ref().map_or(0, String::len);
    let bytes = length(&request.tools) + length(&request.messages) + system as u64;
    bytes.saturating_mul(2).div_ceil(HALF_BYTES_PER_TOKEN)
}

fn length(value: &impl Serialize) -> u64 {
    serde_json::to_vec(value).map_or(0, |text| text.len() as u64)
}
