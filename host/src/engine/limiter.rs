//! Bounds what one call allocates in the engine, summed over everything that the guest has.

use wasmtime::{ResourceLimiter, Result};

/// The most that one call may have of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ceilings {
    /// Bytes of all linear memories together.
    pub(crate) memory_bytes: u64,
    /// Linear memories.
    pub(crate) memories: u32,
    /// Elements of all tables together.
    pub(crate) table_elements: u32,
    /// Tables.
    pub(crate) tables: u32,
    /// Core instances.
    pub(crate) instances: u32,
}

/// Counts the linear memories and tables of one store. wasmtime's own limits hold for each memory and each table alone,
/// so that a component with many would get many times its limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    ceilings: Ceilings,
    used_bytes: u64,
    peak_bytes: u64,
    elements: u64,
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
    /// A sum of elements of tables.
    Table {
        /// The elements there would have been.
        wanted: u64,
    },
}

impl Limiter {
    /// A limiter of a store that holds nothing yet.
    pub(crate) fn new(ceilings: Ceilings) -> Self {
        Self {
            ceilings,
            used_bytes: 0,
            peak_bytes: 0,
            elements: 0,
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
        let limit_bytes = self.ceilings.memory_bytes;
        if wanted_bytes > limit_bytes {
            self.exceeded.get_or_insert(Exceeded::Memory {
                wanted_bytes,
                limit_bytes,
            });
            return Ok(false);
        }
        self.used_bytes = wanted_bytes;
        self.peak_bytes = self.peak_bytes.max(wanted_bytes);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let wanted = self.elements.saturating_add(more);
        if wanted > self.ceilings.table_elements.into() {
            self.exceeded.get_or_insert(Exceeded::Table { wanted });
            return Ok(false);
        }
        self.elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.ceilings.instances as usize
    }

    fn tables(&self) -> usize {
        self.ceilings.tables as usize
    }

    fn memories(&self) -> usize {
        self.ceilings.memories as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(memory_bytes: u64, table_elements: u32) -> Limiter {
        Limiter::new(Ceilings {
            memory_bytes,
            memories: 2,
            table_elements,
            tables: 3,
            instances: 4,
        })
    }

    #[test]
    fn memories_are_summed() {
        let mut limiter = limiter(100, 0);
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
        let mut limiter = limiter(100, 0);
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert_eq!(limiter.exceeded(), None);
    }

    #[test]
    fn tables_are_summed() {
        let mut limiter = limiter(0, 100);
        assert!(limiter.table_growing(0, 60, None).unwrap());
        assert!(limiter.table_growing(0, 40, None).unwrap());
        assert!(!limiter.table_growing(40, 41, None).unwrap());
        assert_eq!(limiter.exceeded(), Some(Exceeded::Table { wanted: 101 }));
    }

    #[test]
    fn each_kind_has_its_own_number() {
        let limiter = limiter(0, 0);
        let numbers = (limiter.memories(), limiter.tables(), limiter.instances());
        assert_eq!(numbers, (2, 3, 4));
    }
}
