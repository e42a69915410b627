//! A memory limit for a process from outside, where this process may set one.

use super::Step;

/// Whether a worker can be put under a memory limit here.
pub fn available() -> Step {
    Step::missing("not looked for")
}
