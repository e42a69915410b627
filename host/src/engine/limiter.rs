//! Bounds the memory of one call, summed over everything that the guest allocates.

use wasmtime::{ResourceLimiter, Result};

use super::limits;

/// Counts the linear memories and tables of one store. wasmtime's own limits hold for each memory alone, so that a
/// component with many memories would get many times its limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit_bytes: u64,
    used_bytes: u64,
    peak_bytes: u64,
    exceeded: Option<Exceeded>,
}

/// What the guest asked for when it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// A sum of linear memories, in bytes.
    Memory {
        /// The sum it would have been.
        wanted_bytes: u64,
        /// The highest sum that is allowed.
        limit_bytes: u64,
    },
    /// Elements of one table.
    Table {
        /// The elements it would have had.
        wanted: usize,
    },
}

impl Limiter {
    /// A limiter that allows `limit_bytes` over all memories.
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            used_bytes: 0,
            peak_bytes: 0,
            exceeded: None,
        }
    }

    /// The highest sum over all linear memories, in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    /// The first request that was refused. The guest may have coped with it; it is the reason of a trap only if the
    /// call did trap.
    pub(crate) fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let wanted_bytes = self.used_bytes.saturating_add(more);
        if wanted_bytes > self.limit_bytes {
            self.exceeded.get_or_insert(Exceeded::Memory {
                wanted_bytes,
                limit_bytes: self.limit_bytes,
            });
            return Ok(false);
        }
        self.used_bytes = wanted_bytes;
        self.peak_bytes = self.peak_bytes.max(wanted_bytes);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        if desired > limits::TABLE_ELEMENTS {
            self.exceeded
                .get_or_insert(Exceeded::Table { wanted: desired });
            return Ok(false);
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES_PER_COMPONENT as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES_PER_COMPONENT as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_summed() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(!limiter.memory_growing(40, 41, None).unwrap());
        assert_eq!(limiter.peak_bytes(), 100);
        assert_eq!(
            limiter.exceeded(),
            Some(Exceeded::Memory {
                wanted_bytes: 101,
                limit_bytes: 100
            })
        );
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert_eq!(limiter.exceeded(), None);
    }

    #[test]
    fn tables_are_bounded() {
        let mut limiter = Limiter::new(0);
        assert!(
            limiter
                .table_growing(0, limits::TABLE_ELEMENTS, None)
                .unwrap()
        );
        assert!(
            !limiter
                .table_growing(0, limits::TABLE_ELEMENTS + 1, None)
                .unwrap()
        );
    }
}
