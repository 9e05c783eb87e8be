//! Reading with two bounds: of one row, and of the whole file.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::base::limits;

/// What was read beyond its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    #[error("a row is longer than the {} bytes allowed", limits::DATA_ROW)]
    Row,
    #[error("the file is larger than the {} bytes allowed", limits::DATA_FILE)]
    File,
}

impl Over {
    /// Whether this is why reading failed.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// Bytes that may still be read for the row at hand.
#[derive(Clone)]
pub struct Allowance(Rc<Cell<usize>>);

impl Allowance {
    /// The next row begins. What a buffer read ahead of it was counted with the row before.
    pub fn renew(&self) {
        self.0.set(limits::DATA_ROW);
    }
}

pub struct Metered<R> {
    inner: R,
    row: Allowance,
    left: u64,
}

impl<R: Read> Metered<R> {
    pub fn new(inner: R) -> (Self, Allowance) {
        let row = Allowance(Rc::new(Cell::new(limits::DATA_ROW)));
        (Self { inner, row: row.clone(), left: limits::DATA_FILE }, row)
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let row = self.row.0.get();
        if row == 0 {
            return Err(io::Error::other(Over::Row));
        }
        let wanted = buffer.len().min(row);
        let read = self.inner.read(&mut buffer[..wanted])?;
        self.row.0.set(row - read);
        // Whatever its size was said to be: it may grow while it is read.
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(Over::File))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_before_its_bound_or_reading_does() {
        let (mut metered, row) = Metered::new(io::repeat(b'x'));
        let mut buffer = vec![0; limits::DATA_ROW - 1];
        for _ in 0..3 {
            row.renew();
            metered.read_exact(&mut buffer).unwrap();
        }
        assert_eq!(metered.read(&mut buffer).unwrap(), 1);
        assert_eq!(Over::of(&metered.read(&mut buffer).unwrap_err()), Some(Over::Row));
        metered.left = 5;
        row.renew();
        assert_eq!(Over::of(&metered.read(&mut buffer).unwrap_err()), Some(Over::File));
    }
}
