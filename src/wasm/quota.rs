//! What one call may take of the host's memory.

use wasmtime::ResourceLimiter;

use super::runtime::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};

/// Counts the memories of one store together, so that many small ones are no way around the bound.
#[derive(Debug)]
pub(super) struct Quota {
    limit_bytes: usize,
    used_bytes: usize,
    /// The guest wanted more than there is: the likely cause of the trap that follows.
    pub(super) refused: bool,
}

impl Quota {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, used_bytes: 0, refused: false }
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    pub(super) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }
}

impl ResourceLimiter for Quota {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used_bytes.saturating_add(desired.saturating_sub(current));
        if used > self.limit_bytes {
            self.refused = true;
            return Ok(false);
        }
        self.used_bytes = used;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_share_one_bound() {
        let mut quota = Quota::new(100);
        assert!(quota.memory_growing(0, 60, None).unwrap());
        assert!(!quota.memory_growing(0, 60, None).unwrap());
        assert!(quota.refused);
        assert!(quota.memory_growing(60, 100, None).unwrap());
        assert!(!quota.memory_growing(0, usize::MAX, None).unwrap());
    }
}
