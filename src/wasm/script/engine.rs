//! The JavaScript engine: compiled when it is first needed, an instance a call.

use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use wasmtime::Store;
use wasmtime::component::{HasSelf, Linker};

use super::bindings::exports::moltrun::script::engine::{Call, ScriptError};
use super::bindings::{Script, ScriptPre};
use super::mistake;
use crate::base::limits::{PLUGIN_DESCRIBE_MS, PLUGIN_MEMORY};
use crate::lang::catalog::{ScriptMistake, ScriptReader};
use crate::wasm::bundled::SCRIPT;
use crate::wasm::call::{self, Bounds, Ready};
use crate::wasm::cause::Cause;
use crate::wasm::host::{Host, Shared};
use crate::wasm::load::one_line;
use crate::wasm::runtime::Runtime;
use crate::wasm::state::{Attempt, State};

/// The engine of the process. Cheap to clone. It is compiled by its first call, or taken from the cache of plugins.
#[derive(Clone)]
pub struct ScriptEngine {
    shared: Arc<Shared>,
    loaded: Arc<OnceLock<Result<Loaded, String>>>,
}

struct Loaded {
    runtime: Arc<Runtime>,
    pre: ScriptPre<State>,
}

impl Ready for ScriptPre<State> {
    type Guest = Script;

    fn instance<'a>(&'a self, store: &'a mut Store<State>) -> BoxFuture<'a, wasmtime::Result<Script>> {
        self.instantiate_async(store).boxed()
    }
}

impl ScriptEngine {
    /// An engine among the plugins of `host`.
    pub fn new(host: &Host) -> Self {
        Self { shared: host.0.clone(), loaded: Arc::default() }
    }

    /// For the checker: says whether a text is a script. Where the machine cannot run the engine, or is too busy to, it
    /// finds nothing: the run says what is wrong.
    pub fn reader(&self) -> ScriptReader {
        let engine = self.clone();
        ScriptReader::new(move |code| engine.read(code))
    }

    fn read(&self, code: &str) -> Result<(), ScriptMistake> {
        let Ok(Loaded { runtime, pre }) = self.loaded() else { return Ok(()) };
        let bounds = Bounds::new(PLUGIN_MEMORY, PLUGIN_DESCRIBE_MS);
        let text = code.to_string();
        let found = call::enter_here(runtime, pre, Attempt::default(), bounds, move |script, store| {
            async move { script.moltrun_script_engine().call_check(store, &text).await }.boxed()
        });
        match found {
            Some(Ok(Err(error))) => Err(mistake::of_syntax(code, &error)),
            _ => Ok(()),
        }
    }

    /// Runs a script once. The outer error is the host's, the inner one the script's.
    pub(super) async fn run(
        &self,
        attempt: Attempt,
        bounds: Bounds,
        call: Call,
    ) -> Result<Result<String, ScriptError>, Cause> {
        if self.loaded.get().is_none() {
            // Compiling takes a second or two where no cache has it.
            let engine = self.clone();
            // An error is a panic of the compiler; the next line has its own.
            let _ = tokio::task::spawn_blocking(move || engine.loaded().is_ok()).await;
        }
        let Loaded { runtime, pre } = self.loaded().map_err(|reason| Cause::new("script.no_engine", reason))?;
        call::enter(runtime, pre, attempt, bounds, move |script, store| {
            async move { script.moltrun_script_engine().call_run(store, &call).await }.boxed()
        })
        .await
    }

    fn loaded(&self) -> Result<&Loaded, String> {
        self.loaded.get_or_init(|| load(&self.shared)).as_ref().map_err(Clone::clone)
    }
}

fn load(shared: &Shared) -> Result<Loaded, String> {
    let runtime = shared.runtime.clone()?;
    let component = shared.own(&runtime, SCRIPT)?;
    let mut linker = Linker::new(&runtime.engine);
    let pre = Script::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
        .and_then(|()| linker.instantiate_pre(&component))
        .and_then(ScriptPre::new)
        .map_err(|error| one_line(&error))?;
    Ok(Loaded { runtime, pre })
}
