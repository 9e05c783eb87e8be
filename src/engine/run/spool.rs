//! A step's rows: an ordinary output if they are few; else a list beside the journal, written as it is read.

use futures::StreamExt;

use super::execute::permanent;
use crate::base::json::text_len;
use crate::base::{Json, RunId, limits};
use crate::engine::decide::Ended;
use crate::engine::ports::{OK, Rows, StepError, Store};

/// Rows of one write, and their text in bytes: small enough not to hold up the commits of other runs.
const CHUNK_ROWS: usize = 512;
const CHUNK_BYTES: usize = 256 * 1024;

/// Reads `rows` to their end. `name` is that of the list they may become.
pub async fn spool(Rows(mut rows): Rows, run: RunId, name: String, store: &dyn Store) -> Result<Ended, StepError> {
    let mut few = Vec::new();
    let mut bytes = 2;
    while let Some(row) = rows.next().await {
        let row = row?;
        bytes += text_len(&row) + 1;
        few.push(row);
        if bytes > limits::STEP_OUTPUT {
            let mut list = List { store, run, name, written: 0, chunk: few, bytes };
            while let Some(row) = rows.next().await {
                list.push(row?).await?;
            }
            let (name, total) = list.finish().await?;
            return Ok(Ended::Done { port: OK, output: Json::String(name), rows: Some(total) });
        }
    }
    Ok(Ended::Done { port: OK, output: Json::Array(few), rows: None })
}

struct List<'a> {
    store: &'a dyn Store,
    run: RunId,
    name: String,
    written: u32,
    chunk: Vec<Json>,
    bytes: usize,
}

impl List<'_> {
    async fn push(&mut self, row: Json) -> Result<(), StepError> {
        if self.written as usize + self.chunk.len() >= limits::FOR_EACH_ITEMS {
            let message = format!("more than the {} rows a list may have", limits::FOR_EACH_ITEMS);
            return Err(permanent("step.too_many_rows", message));
        }
        self.bytes += text_len(&row);
        self.chunk.push(row);
        if self.chunk.len() >= CHUNK_ROWS || self.bytes >= CHUNK_BYTES {
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), StepError> {
        let mut rows = std::mem::take(&mut self.chunk);
        self.bytes = 0;
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(CHUNK_ROWS));
            let count = rows.len() as u32;
            let appended = self.store.append_rows(self.run, self.name.clone(), self.written, rows).await;
            appended?;
            self.written += count;
            rows = rest;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(String, u32), StepError> {
        self.write().await?;
        Ok((self.name, self.written))
    }
}
