//! The single writer: takes what is waiting, commits it as one, answers everyone.

use std::collections::HashSet;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::batch::{Answer, Answers, Batch};
use super::connection::WriteConnection;
use super::files::Files;
use super::keys::Keys;
use super::lease::Lease;
use super::prune;
use crate::base::{Json, Millis, RunId, limits};
use crate::engine::ports::{Clock, Commit, Created, NewRun, Pruned, StoreError, Write};

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// One intention, with somebody waiting for its commit.
pub enum Request {
    SavePlan {
        digest: String,
        plan: String,
        answer: Reply<()>,
    },
    Create {
        runs: Vec<NewRun>,
        answer: Reply<Vec<Created>>,
    },
    Commit {
        commit: Commit,
        answer: Reply<()>,
    },
    SetCursors {
        cursors: Vec<(String, Millis)>,
        answer: Reply<()>,
    },
    AppendRows {
        run: RunId,
        list: String,
        first: u32,
        rows: Vec<Json>,
        answer: Reply<()>,
    },
    Put {
        writes: Vec<Write>,
        answer: Reply<()>,
    },
    Renew {
        answer: Reply<()>,
    },
    Prune {
        now: Millis,
        limit: u32,
        answer: Reply<Pruned>,
    },
    /// The last one.
    Close {
        answer: Reply<()>,
    },
}

impl Request {
    pub fn answer(self, result: Result<Answer, StoreError>) {
        // Whoever asked may have gone; the commit stands all the same.
        match (self, result) {
            (
                Self::SavePlan { answer, .. }
                | Self::Commit { answer, .. }
                | Self::SetCursors { answer, .. }
                | Self::AppendRows { answer, .. }
                | Self::Put { answer, .. }
                | Self::Renew { answer }
                | Self::Close { answer },
                result,
            ) => drop(answer.send(result.map(|_| ()))),
            (Self::Create { answer, .. }, Ok(Answer::Created(created))) => drop(answer.send(Ok(created))),
            (Self::Create { answer, .. }, result) => drop(answer.send(Err(unanswered(result)))),
            (Self::Prune { answer, .. }, result) => drop(answer.send(Err(unanswered(result)))),
        }
    }

    /// What two requests of one batch must not share: two commits of one run follow each other, and one statement could
    /// not tell their order.
    fn subject(&self) -> Option<RunId> {
        match self {
            Self::Commit { commit, .. } => Some(commit.run),
            Self::AppendRows { run, .. } => Some(*run),
            _ => None,
        }
    }

    /// Is it served by itself?
    fn is_alone(&self) -> bool {
        matches!(self, Self::Prune { .. } | Self::Close { .. })
    }
}

fn unanswered(result: Result<Answer, StoreError>) -> StoreError {
    result.err().unwrap_or_else(|| StoreError::Corrupt("a request was answered as another kind".to_string()))
}

pub struct Writer {
    pub connection: WriteConnection,
    /// Of this process; the database's own must be the same at every commit.
    pub epoch: i64,
    pub lease: Lease,
    pub keys: Keys,
    pub clock: std::sync::Arc<dyn Clock>,
    pub files: Files,
    /// Why this process can no longer use the database.
    pub lost: watch::Sender<Option<String>>,
    /// What the last batch met that may pass by itself or by a person's hand: a full disk, another process's lock.
    pub trouble: watch::Sender<Option<StoreError>>,
    /// Runs whose last commit failed without proof that it is not durable.
    pub uncertain: HashSet<RunId>,
    pub renew_at: Millis,
}

impl Writer {
    /// Serves requests until nobody can send any.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut next = None;
        let mut tick = self.tick();
        loop {
            let first = match next.take() {
                Some(request) => request,
                None => tokio::select! {
                    biased;
                    request = inbox.recv() => match request {
                        Some(request) => request,
                        None => break,
                    },
                    () = &mut tick => {
                        self.serve(Vec::new()).await;
                        tick = self.tick();
                        continue;
                    }
                },
            };
            match first {
                Request::Prune { now, limit, answer } => {
                    let _ = answer.send(self.prune(now, limit).await);
                    continue;
                }
                Request::Close { answer } => {
                    self.close().await;
                    let _ = answer.send(Ok(()));
                    return;
                }
                _ => {}
            }
            let mut subjects = HashSet::new();
            subjects.extend(first.subject());
            let mut requests = vec![first];
            while requests.len() < limits::WRITER_BATCH {
                let Ok(request) = inbox.try_recv() else { break };
                if request.is_alone() || request.subject().is_some_and(|run| !subjects.insert(run)) {
                    next = Some(request);
                    break;
                }
                requests.push(request);
            }
            self.serve(requests).await;
        }
        self.close().await;
    }

    fn tick(&self) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(self.renew_at)
    }

    async fn close(mut self) {
        if let Ok(connection) = self.connection.get().await {
            let _ = self.lease.release(connection, self.epoch).await;
        }
        self.connection.close().await;
    }

    /// One batch, with the lease if its time has come. A failure of the batch that could be one request's is met by
    /// serving each by itself: one bad request must not fail its neighbours.
    pub async fn serve(&mut self, requests: Vec<Request>) {
        match self.commit(&requests).await {
            Ok(answers) => requests.into_iter().zip(answers).for_each(|(request, answer)| request.answer(answer)),
            Err(StoreError::Conflict(_) | StoreError::Corrupt(_))
                if requests.len() > 1 && self.lost.borrow().is_none() =>
            {
                for request in requests {
                    let lost = || Err(StoreError::Corrupt("a request was not answered".to_string()));
                    let answer = self.commit(std::slice::from_ref(&request)).await;
                    request.answer(answer.and_then(|mut answers| answers.pop().unwrap_or_else(lost)));
                }
            }
            Err(error) => requests.into_iter().for_each(|request| request.answer(Err(error.clone()))),
        }
    }

    async fn commit(&mut self, requests: &[Request]) -> Result<Answers, StoreError> {
        if let Some(reason) = &*self.lost.borrow() {
            return Err(StoreError::Conflict(reason.clone()));
        }
        let now = self.clock.now();
        let lease = (now >= self.renew_at).then_some(&self.lease);
        let batch = Batch { requests, epoch: self.epoch, lease, uncertain: &self.uncertain };
        let done = batch.run(&mut self.connection, &mut self.keys).await;
        if lease.is_some() {
            // Also after a failure, so that a disk that stays full is not asked without a pause.
            self.renew_at = now.saturating_add(limits::LEASE_RENEW_MS);
        }
        let trouble = done.as_ref().err().filter(|error| matches!(error, StoreError::Unavailable(_)));
        self.trouble.send_if_modified(|known| {
            let changed = known.as_ref() != trouble;
            match (known.as_ref(), trouble) {
                (None, Some(error)) => tracing::error!(%error, "nothing can be written now; nothing is confirmed"),
                (Some(_), None) => tracing::info!("the database can be written again"),
                _ => {}
            }
            if changed {
                *known = trouble.cloned();
            }
            changed
        });
        if self.connection.was_reopened() {
            self.files.reopened();
        }
        self.judge(requests, done)
    }

    /// What the batch's end says of the runs in it and of the database itself.
    fn judge(&mut self, requests: &[Request], done: Result<Answers, StoreError>) -> Result<Answers, StoreError> {
        let runs = requests.iter().filter_map(Request::subject);
        match done {
            Ok(answers) => {
                // A commit into a file that nobody will find again must not be confirmed.
                if let Some(trouble) = self.files.trouble() {
                    return Err(self.lose(trouble));
                }
                if !self.uncertain.is_empty() {
                    for run in runs {
                        self.uncertain.remove(&run);
                    }
                }
                Ok(answers)
            }
            Err(StoreError::Conflict(reason)) if reason == super::batch::TAKEN_OVER => Err(self.lose(reason)),
            Err(error) => {
                if matches!(error, StoreError::Unavailable(_)) {
                    self.uncertain.extend(runs);
                }
                Err(error)
            }
        }
    }

    fn lose(&self, reason: String) -> StoreError {
        tracing::error!(reason, "the database is lost to this process");
        self.lost.send_replace(Some(reason.clone()));
        StoreError::Conflict(reason)
    }

    async fn prune(&mut self, now: Millis, limit: u32) -> Result<Pruned, StoreError> {
        let pruned = prune::batch(&mut self.connection, &mut self.keys, self.epoch, now, limit).await;
        match pruned {
            Err(StoreError::Conflict(reason)) if reason == super::batch::TAKEN_OVER => Err(self.lose(reason)),
            pruned => pruned,
        }
    }
}
