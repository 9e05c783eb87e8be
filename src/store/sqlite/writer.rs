//! The single writer: takes what is waiting, commits it as one, answers everyone.

use std::collections::HashSet;

use tokio::sync::{mpsc, oneshot};

use super::batch::{Answer, Batch};
use super::connection::WriteConnection;
use crate::base::{Millis, limits};
use crate::engine::ports::{Commit, Created, NewRun, StoreError};

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// One intention, with somebody waiting for its commit.
pub enum Request {
    SavePlan { digest: String, plan: String, answer: Reply<()> },
    Create { runs: Vec<NewRun>, answer: Reply<Vec<Created>> },
    Commit { commit: Commit, answer: Reply<()> },
    SetCursor { name: String, at: Millis, answer: Reply<()> },
    Prune { now: Millis, answer: Reply<u64> },
}

impl Request {
    pub fn answer(self, result: Result<Answer, StoreError>) {
        // Whoever asked may have gone; the commit stands all the same.
        match (self, result) {
            (Self::SavePlan { answer, .. } | Self::Commit { answer, .. } | Self::SetCursor { answer, .. }, result) => {
                let _ = answer.send(result.map(|_| ()));
            }
            (Self::Create { answer, .. }, Ok(Answer::Created(created))) => {
                let _ = answer.send(Ok(created));
            }
            (Self::Create { answer, .. }, result) => {
                let _ = answer.send(Err(unanswered(result)));
            }
            (Self::Prune { answer, .. }, Ok(Answer::Count(count))) => {
                let _ = answer.send(Ok(count));
            }
            (Self::Prune { answer, .. }, result) => {
                let _ = answer.send(Err(unanswered(result)));
            }
        }
    }
}

fn unanswered(result: Result<Answer, StoreError>) -> StoreError {
    result.err().unwrap_or_else(|| StoreError::Corrupt("a request was answered as another kind".to_string()))
}

pub struct Writer {
    connection: WriteConnection,
    /// Of this process; the database's own must be the same at every commit.
    epoch: i64,
}

impl Writer {
    pub fn new(connection: WriteConnection, epoch: i64) -> Self {
        Self { connection, epoch }
    }

    /// Serves requests until nobody can send any.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut next = None;
        loop {
            let first = match next.take() {
                Some(request) => request,
                None => match inbox.recv().await {
                    Some(request) => request,
                    None => break,
                },
            };
            let mut requests = vec![first];
            let mut runs = HashSet::new();
            runs.extend(committed_run(&requests[0]));
            while requests.len() < limits::WRITER_BATCH {
                let Ok(request) = inbox.try_recv() else { break };
                // Two commits of one run follow each other; one statement could not tell their order.
                if committed_run(&request).is_some_and(|run| !runs.insert(run)) {
                    next = Some(request);
                    break;
                }
                requests.push(request);
            }
            self.serve(requests).await;
        }
        self.connection.close().await;
    }

    async fn serve(&mut self, requests: Vec<Request>) {
        match Batch::new(&requests).run(&mut self.connection, self.epoch).await {
            Ok(answers) => requests.into_iter().zip(answers).for_each(|(request, answer)| request.answer(answer)),
            Err(error) if requests.len() == 1 || matches!(error, StoreError::Unavailable(_)) => {
                requests.into_iter().for_each(|request| request.answer(Err(error.clone())));
            }
            // One bad request must not fail its neighbours.
            Err(_) => {
                for request in requests {
                    let alone = std::slice::from_ref(&request);
                    let answer = Batch::new(alone).run(&mut self.connection, self.epoch).await;
                    let lost = || Err(StoreError::Corrupt("a request was not answered".to_string()));
                    let answer = answer.and_then(|mut answers| answers.pop().unwrap_or_else(lost));
                    request.answer(answer);
                }
            }
        }
    }
}

fn committed_run(request: &Request) -> Option<crate::base::RunId> {
    match request {
        Request::Commit { commit, .. } => Some(commit.run),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{Connection, Executor, SqliteConnection};

    use super::super::schema;
    use super::*;

    async fn set_cursor(writer: &mut Writer, at: Millis) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        writer.serve(vec![Request::SetCursor { name: "s".to_string(), at, answer }]).await;
        answered.await.unwrap()
    }

    #[tokio::test]
    async fn a_transaction_that_was_left_open_costs_one_batch_and_not_the_fence() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("moltrun.db")).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let epoch = schema::prepare(&mut connection).await.unwrap();
        // As a `ROLLBACK` that failed leaves it.
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        let mut writer = Writer::new(WriteConnection::new(connection, options.clone()), epoch);
        let stuck = set_cursor(&mut writer, 1).await;
        assert!(matches!(stuck, Err(StoreError::Unavailable(_))), "{stuck:?}");
        assert_eq!(set_cursor(&mut writer, 2).await, Ok(()));

        writer.connection.discard().await;
        let mut other = SqliteConnection::connect_with(&options).await.unwrap();
        schema::prepare(&mut other).await.unwrap();
        let fenced = set_cursor(&mut writer, 3).await;
        assert!(matches!(fenced, Err(StoreError::Conflict(_))), "{fenced:?}");
    }
}
