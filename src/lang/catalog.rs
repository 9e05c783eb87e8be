//! What the checker must know of a step: its name, its fields, its ports, its effect. Built-ins and plugins fill in the same form.

use std::collections::{BTreeMap, BTreeSet};

use std::fmt;
use std::sync::Arc;

use crate::base::phone::Region;
use crate::base::{Effect, Json};

/// One kind of step.
#[derive(Clone, Debug)]
pub struct StepSpec {
    /// As `uses:` says it: `filter`, `ai.prompt`, `keyword-score/score`.
    pub name: String,
    pub summary: String,
    /// What a step of this kind does, unless a field of it says otherwise ([`FieldKind::Method`], [`FieldKind::Repeatable`]).
    pub effect: Effect,
    pub ports: Ports,
    pub fields: Fields,
    /// JSON Schema of the output, where the step has one (plugin steps, and built-in ones with a fixed form): what `steps.<id>` may be asked for.
    pub output: Option<Json>,
    /// Time for one attempt when neither step nor workflow names one, in milliseconds.
    pub timeout_ms: u64,
}

impl StepSpec {
    /// The field of this kind, if it has one.
    pub fn field(&self, kind: FieldKind) -> Option<&Field> {
        match &self.fields {
            Fields::Known(fields) => fields.iter().find(|field| field.kind == kind),
            Fields::Any | Fields::Schema(_) => None,
        }
    }

    /// The field that says what its run is parked for, if it parks the run: no attempt of it takes any time.
    pub fn parks(&self) -> Option<&Field> {
        [FieldKind::Pause, FieldKind::Until, FieldKind::Workflow].into_iter().find_map(|kind| self.field(kind))
    }
}

/// The exits of a step, besides `error`, which every step has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// These, `ok` among them where the step has it.
    Fixed(Vec<String>),
    /// One for each key of this `with` field, and `else` (the `switch` step).
    KeysOf(&'static str),
}

/// What may stand under `with:`.
#[derive(Clone, Debug)]
pub enum Fields {
    /// These and no others.
    Known(Vec<Field>),
    /// Any mapping of templates (the `set` step).
    Any,
    /// An object of this JSON Schema, with templates for strings (plugin steps).
    Schema(Json),
}

/// One key of `with:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub required: bool,
    pub summary: &'static str,
}

/// How a field is written and what it is when the step sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// JSON with templates in its strings.
    Any,
    /// A text with templates; a typed template must give a string or a number.
    Text,
    /// A number, or a template that gives one.
    Number,
    /// A duration such as `30s`, or a template that gives one.
    Duration,
    /// A bare expression; the step sees `true` or `false`.
    Condition,
    /// A mapping of names to bare expressions; the step sees the first name whose expression is true, or null.
    Conditions,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A chat id or a phone number, or a template that gives one. A constant is read when the file is checked; a number
    /// without country code is of the step's [`FieldKind::Region`], else of [`Catalog::region`].
    Recipient,
    /// The two letters of a country, or a template that gives them.
    Region,
    /// `idempotent` or `at_most_once`, no template: what the author says that the step does, whatever its method.
    Effect,
    /// How long the run is parked: a [`FieldKind::Duration`]. A step with such a field parks the run, so that a
    /// `timeout:` of its attempt means nothing.
    Pause,
    /// Until when the run is parked: RFC 3339 with an offset, or milliseconds since 1970; or a template that gives one.
    /// A step that has both this and a [`FieldKind::Pause`] is given exactly one of them.
    Until,
    /// The name of a workflow of the folder, or a template that gives one. A step with such a field parks the run.
    Workflow,
    /// A bare expression over `incoming`, the event that the run is parked for, and everything else in scope. It is not
    /// among what the step sees.
    Incoming,
    /// A mapping with these keys and no others, or a template that gives one. Their kinds are those that give a value.
    Object(&'static [Field]),
    /// A JSON Schema as it stands, without templates: it is compiled when the file is checked.
    Schema,
    /// An HTTP method, one of these, or a template that gives one. It decides the step's effect; of a template the worst
    /// is assumed.
    Method(&'static [&'static str]),
    /// `true` or `false`, no template: with `true` the author says that the step may be repeated, whatever its method.
    Repeatable,
    /// A text; of the fields of this kind exactly one is given.
    Source,
    /// JSON with templates in its strings; of the fields of this kind at most one is given.
    Body,
    /// JavaScript as it stands, without templates. What it names of `event`, `vars` and `steps` is handed to the step
    /// under [`SCOPE`].
    Script,
}

/// The key beside the fields of `with:` under which a step with a [`FieldKind::Script`] is given what its code names.
pub const SCOPE: &str = "(scope)";

/// Every step that a workflow may use.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    specs: BTreeMap<String, StepSpec>,
    /// Plugins that failed to load, with the reason: a workflow that uses one is invalid and says why.
    broken_plugins: BTreeMap<String, String>,
    /// The names of the configuration's secrets; None where no configuration is known.
    secrets: Option<BTreeSet<String>>,
    /// Where phone numbers without a country code are meant; None: they are mistakes.
    pub region: Option<Region>,
    /// Reads scripts; None: only the names in them are checked.
    pub scripts: Option<ScriptReader>,
}

/// What tells whether a text is a script: the engine that is to run it.
#[derive(Clone)]
pub struct ScriptReader(Arc<ReadScript>);

type ReadScript = dyn Fn(&str) -> Result<(), ScriptMistake> + Send + Sync;

/// Why a text is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptMistake {
    /// A lowercase fragment.
    pub message: String,
    /// The byte of the text where it shows, if it is known.
    pub at: Option<usize>,
}

impl ScriptReader {
    pub fn new(read: impl Fn(&str) -> Result<(), ScriptMistake> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Whether `code` can be run; nothing of it is.
    pub fn read(&self, code: &str) -> Result<(), ScriptMistake> {
        (self.0)(code)
    }
}

impl fmt::Debug for ScriptReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptReader")
    }
}

impl Catalog {
    pub fn insert(&mut self, spec: StepSpec) {
        self.specs.insert(spec.name.clone(), spec);
    }

    pub fn insert_broken_plugin(&mut self, plugin: impl Into<String>, reason: impl Into<String>) {
        self.broken_plugins.insert(plugin.into(), reason.into());
    }

    pub fn get(&self, name: &str) -> Option<&StepSpec> {
        self.specs.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.specs.keys().map(String::as_str)
    }

    /// Workflows may name these secrets and no others.
    pub fn set_secrets<'a>(&mut self, names: impl IntoIterator<Item = &'a String>) {
        self.secrets = Some(names.into_iter().cloned().collect());
    }

    /// The secrets that workflows may name; None: nobody knows.
    pub fn secrets(&self) -> Option<&BTreeSet<String>> {
        self.secrets.as_ref()
    }

    /// Plugins that could not be loaded, each with the reason.
    pub fn broken_plugins(&self) -> impl Iterator<Item = (&str, &str)> {
        self.broken_plugins.iter().map(|(plugin, reason)| (plugin.as_str(), reason.as_str()))
    }

    /// Why the plugin of `uses` could not be loaded, if that is why the step is unknown.
    pub fn broken(&self, uses: &str) -> Option<&str> {
        let (plugin, _) = uses.split_once('/')?;
        self.broken_plugins.get(plugin).map(String::as_str)
    }
}
