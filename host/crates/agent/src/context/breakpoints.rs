//! Where the server is told to keep the prompt's beginning.
//!
//! A server's prompt cache compares byte by byte from the start: tools, then the operator's instructions, then messages. It
//! keeps what stands before a breakpoint, and for each breakpoint of a later request it looks back over at most twenty
//! blocks for something that it has kept. A turn with many calls adds more blocks than that, so a request marks not only
//! its own end but also where the request before it ended: what was kept there is found however much came since.

use super::estimate;
use crate::wire::{Block, CachePlan, CacheTtl, Message, Role, ToolDefinition};

/// The most breakpoints that a request may have.
#[cfg(test)]
pub(crate) const MAX_BREAKPOINTS: usize = 4;

/// So many blocks after a breakpoint another one is set, well within what the server looks back.
const STRIDE: usize = 15;

/// The breakpoints for a request; none where nothing of it reaches `min_tokens`.
pub(crate) fn plan(
    ttl: CacheTtl,
    min_tokens: u64,
    system: Option<&str>,
    tools: &[ToolDefinition],
    messages: &[Message],
) -> Option<CachePlan> {
    let mut blocks = ends(messages);
    // What stands before the messages.
    let tools_tokens = estimate::tools(tools);
    let fixed = tools_tokens.saturating_add(system.map_or(0, estimate::text));
    blocks.retain(|at| fixed.saturating_add(before(messages, *at)) >= min_tokens);
    let system_set = system.is_some_and(|text| !text.trim().is_empty()) && fixed >= min_tokens;
    let taken = usize::from(system_set) + blocks.len();
    let plan = CachePlan {
        ttl,
        // Other agents of the same tools may have other instructions.
        tools: !tools.is_empty() && tools_tokens >= min_tokens && taken < 4,
        system: system_set,
        blocks,
        previous_message: None,
    };
    (!plan.is_empty()).then_some(plan)
}

/// Where the request before ended, a place on the way where the turn since was long, and the newest end.
fn ends(messages: &[Message]) -> Vec<(usize, usize)> {
    let mut ends = messages
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, message)| message.role == Role::User)
        .filter_map(|(number, message)| {
            let block = message.content.iter().rposition(can_be_marked)?;
            Some((number, block))
        });
    let Some(newest) = ends.next() else {
        return Vec::new();
    };
    let Some(before) = ends.next() else {
        return vec![newest];
    };
    let since: Vec<(usize, usize)> = messages
        .iter()
        .enumerate()
        .flat_map(|(number, message)| (0..message.content.len()).map(move |block| (number, block)))
        .filter(|at| *at > before && *at < newest)
        .collect();
    let on_the_way = since
        .into_iter()
        .skip(STRIDE - 1)
        .find(|at| block_at(messages, *at).is_some_and(can_be_marked));
    [Some(before), on_the_way, Some(newest)]
        .into_iter()
        .flatten()
        .collect()
}

fn block_at(messages: &[Message], (message, block): (usize, usize)) -> Option<&Block> {
    messages.get(message)?.content.get(block)
}

/// Thinking cannot be marked, and of blocks of other kinds it is not known.
fn can_be_marked(block: &Block) -> bool {
    match block {
        Block::Text(block) => !block.text.trim().is_empty(),
        Block::ToolUse(_) | Block::ToolResult(_) => true,
        Block::Other(_) => matches!(block.kind(), "image" | "document" | "search_result"),
    }
}

/// About how many tokens of the messages stand up to a block, that block included.
fn before(messages: &[Message], (message, block): (usize, usize)) -> u64 {
    let whole = messages.get(..message).unwrap_or_default();
    let part = messages.get(message).map_or(&[][..], |message| {
        message.content.get(..=block).unwrap_or_default()
    });
    estimate::messages(whole).saturating_add(part.iter().map(estimate::block).sum())
}

#[cfg(test)]
mod tests;
