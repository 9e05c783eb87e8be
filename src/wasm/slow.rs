//! Where guests go on that have more to compute than a moment's work.
//!
//! A call begins where its caller is, and most end there, without a change of threads. One that is still computing after its
//! first tick is moved here, to a few threads of its own, where such guests take turns at every tick. So whatever guests do,
//! the threads of the engine are free, and a caller hears of its deadline when it is due. Dropping the caller's future ends
//! the guest, too.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, Either, poll_fn, select};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tracing::instrument::WithSubscriber;

use crate::engine::ports::Clock;

/// How much later than the guest's own end the caller stops waiting, in milliseconds: a guest that gets its turn in time
/// says better why it ended.
const GRACE_MS: u64 = 20;

/// Raised by the guest's epoch callback: the guest has used up its first tick.
pub(super) type Spun = Arc<AtomicBool>;

/// The threads. They are started for the first guest that needs them.
#[derive(Default)]
pub(super) struct Slow(OnceLock<Option<Runtime>>);

impl Slow {
    /// The end of `work`, which raises `spun` before it yields for the first time because of its tick; None if `ms`
    /// milliseconds and a little more were not enough.
    pub(super) async fn attend<T: Send + 'static>(
        &self,
        clock: &dyn Clock,
        ms: u64,
        spun: &Spun,
        mut work: BoxFuture<'static, T>,
    ) -> Option<T> {
        let mut late: Option<BoxFuture<'static, ()>> = None;
        let here = poll_fn(|cx| {
            if let Poll::Ready(done) = work.poll_unpin(cx) {
                return Poll::Ready(Here::Done(done));
            }
            if spun.load(Ordering::Relaxed) {
                return Poll::Ready(Here::Spins);
            }
            let late = late.get_or_insert_with(|| clock.pause(ms.saturating_add(GRACE_MS)));
            late.poll_unpin(cx).map(|()| Here::Late)
        });
        match here.await {
            Here::Done(done) => return Some(done),
            Here::Late => return None,
            Here::Spins => {}
        }
        let late = late.unwrap_or_else(|| clock.pause(ms.saturating_add(GRACE_MS)));
        let Some(threads) = self.threads() else {
            // Without threads of its own it goes on here, and shares with everyone.
            return match select(work, late).await {
                Either::Left((done, _)) => Some(done),
                Either::Right(_) => None,
            };
        };
        // With the caller's subscriber: what a guest logs belongs to its caller wherever it runs.
        let task = Task(threads.spawn(Elsewhere { home: Handle::current(), work }.with_current_subscriber()));
        match select(task, late).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => None,
        }
    }

    fn threads(&self) -> Option<&Runtime> {
        let start = || {
            // Half of the cores: the other half is for those who wait for nobody.
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let started =
                Builder::new_multi_thread().worker_threads(cores.div_ceil(2)).thread_name("wasm-slow").build();
            started.inspect_err(|error| tracing::warn!(%error, "no threads for plugins that compute long")).ok()
        };
        self.0.get_or_init(start).as_ref()
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        if let Some(Some(threads)) = self.0.take() {
            // Waits for nobody: the last one to let go may be a thread that must not.
            threads.shutdown_background();
        }
    }
}

/// How far a call got on its caller's thread.
enum Here<T> {
    Done(T),
    Spins,
    Late,
}

/// Work away from the runtime it began on: timers and sockets of its host functions stay those of that runtime, whose threads
/// are free.
struct Elsewhere<T> {
    home: Handle,
    work: BoxFuture<'static, T>,
}

impl<T> Future for Elsewhere<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let _home = this.home.enter();
        this.work.poll_unpin(cx)
    }
}

/// A guest on the slow threads. Dropped, it ends at its next turn, and gives back its places only then.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = Option<T>;

    /// None if the process is about to end.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_unpin(cx).map(|ended| match ended {
            Ok(done) => Some(done),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Millis;
    use crate::engine::clock::SystemClock;

    /// Every pause is over at once.
    struct Hasty;

    impl Clock for Hasty {
        fn now(&self) -> Millis {
            0
        }

        fn sleep_until(&self, _: Millis) -> BoxFuture<'static, ()> {
            std::future::ready(()).boxed()
        }

        fn random(&self) -> u128 {
            0
        }
    }

    fn thread() -> String {
        std::thread::current().name().unwrap_or_default().to_string()
    }

    /// Computes for ever, from the first moment; lives as long as `token`.
    fn endless(spun: &Spun, token: Arc<()>) -> BoxFuture<'static, ()> {
        let spun = spun.clone();
        poll_fn(move |cx| {
            let _alive = &token;
            spun.store(true, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .boxed()
    }

    #[tokio::test]
    async fn what_is_short_stays_where_it_is() {
        let (slow, spun) = (Slow::default(), Spun::default());
        let home = thread();
        let ended = slow.attend(&SystemClock, 60_000, &spun, async { thread() }.boxed()).await;
        assert_eq!(ended, Some(home));
        assert!(slow.0.get().is_none());
    }

    #[tokio::test]
    async fn what_is_long_goes_on_elsewhere_with_the_timers_of_its_home() {
        let (slow, spun) = (Slow::default(), Spun::default());
        let raised = spun.clone();
        let work = async move {
            raised.store(true, Ordering::Relaxed);
            tokio::task::yield_now().await;
            // Panics where there are no timers: the slow threads have none.
            SystemClock.pause(1).await;
            thread()
        };
        assert_eq!(slow.attend(&SystemClock, 60_000, &spun, work.boxed()).await.as_deref(), Some("wasm-slow"));
    }

    #[tokio::test]
    async fn what_is_late_is_given_up_wherever_it_is() {
        let (slow, spun, token) = (Slow::default(), Spun::default(), Arc::new(()));
        let waiting = {
            let token = token.clone();
            async move {
                std::future::pending::<()>().await;
                drop(token)
            }
        };
        assert_eq!(slow.attend(&Hasty, 5, &spun, waiting.boxed()).await, None);
        assert_eq!(Arc::strong_count(&token), 1);
        assert_eq!(slow.attend(&Hasty, 5, &spun, endless(&spun, token.clone())).await, None);
        while Arc::strong_count(&token) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_ends() {
        let (slow, spun, token) = (Slow::default(), Spun::default(), Arc::new(()));
        let mut attended = Box::pin(slow.attend(&SystemClock, 60_000, &spun, endless(&spun, token.clone())));
        while slow.0.get().is_none() {
            assert!(futures::poll!(&mut attended).is_pending());
        }
        assert!(futures::poll!(&mut attended).is_pending());
        drop(attended);
        while Arc::strong_count(&token) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller() {
        let (slow, spun) = (Slow::default(), Spun::default());
        let raised = spun.clone();
        let work = async move {
            raised.store(true, Ordering::Relaxed);
            tokio::task::yield_now().await;
            panic!("of a host function");
        };
        let attended = slow.attend::<()>(&SystemClock, 60_000, &spun, work.boxed());
        let ended = std::panic::AssertUnwindSafe(attended).catch_unwind().await;
        assert_eq!(ended.unwrap_err().downcast_ref::<&str>(), Some(&"of a host function"));
    }
}
