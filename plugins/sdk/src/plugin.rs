//! From steps to a component: what [`plugin!`](crate::plugin) writes, and what it calls.

use serde_json::Value;

use crate::{Context, Effect, Error, Exit, Step, schema};

/// What [`plugin!`](crate::plugin) implements: all steps of a plugin behind one door.
pub trait Plugin {
    fn about() -> About;

    /// One attempt of the step of that name, from JSON to JSON.
    fn run(step: &str, input: &str, context: &Context) -> Result<Exit<String>, Error>;
}

/// Everything the host must know of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    pub version: &'static str,
    pub steps: Vec<StepAbout>,
    pub hosts: Vec<&'static str>,
    /// Each with the hosts it may be sent to.
    pub secrets: Vec<(&'static str, Vec<&'static str>)>,
}

/// One step as the host sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepAbout {
    pub name: &'static str,
    pub summary: &'static str,
    pub effect: Effect,
    /// JSON.
    pub input_schema: String,
    /// JSON.
    pub output_schema: String,
    pub ports: &'static [&'static str],
}

impl StepAbout {
    pub fn of<S: Step>() -> Self {
        Self {
            name: S::NAME,
            summary: S::SUMMARY,
            effect: S::EFFECT,
            input_schema: schema::input::<S::Input>(),
            output_schema: schema::output::<S::Output>(),
            ports: S::PORTS,
        }
    }
}

/// One attempt of `S`, from JSON to JSON.
pub fn run<S: Step>(input: &str, context: &Context) -> Result<Exit<String>, Error> {
    // The host has checked the schema already: what is left is what a type demands beyond its schema.
    let input = serde_json::from_str(input).map_err(|e| Error::permanent("bad_input", e))?;
    let exit = S::run(input, context)?;
    if let Some(port) = exit.port
        && !S::PORTS.contains(&port)
    {
        let message =
            format!("the step left by the port `{port}`, which is not among its PORTS; that is a fault of the plugin");
        return Err(Error::permanent("unknown_port", message));
    }
    let output = serde_json::to_string(&exit.output).map_err(|e| Error::permanent("bad_output", e))?;
    Ok(Exit { port: exit.port, output })
}

/// What is said of a step that the plugin has not.
pub fn unknown(step: &str, known: &[&str]) -> Error {
    Error::permanent("unknown_step", format!("there is no step `{step}`; this plugin has {}", known.join(", ")))
}

/// The output as a value, for tests.
pub fn parsed(exit: Exit<String>) -> Exit<Value> {
    // What serde_json has written it can read.
    Exit { port: exit.port, output: serde_json::from_str(&exit.output).unwrap_or(Value::Null) }
}

/// Whether names are as the interface wants them, and differ: checked when the plugin is compiled.
pub const fn has_good_names(names: &[&str], may_have_dashes: bool) -> bool {
    let mut i = 0;
    while i < names.len() {
        if !is_name(names[i], may_have_dashes) {
            return false;
        }
        let mut other = 0;
        while other < i {
            if is_same(names[i].as_bytes(), names[other].as_bytes()) {
                return false;
            }
            other += 1;
        }
        i += 1;
    }
    true
}

const fn is_name(name: &str, may_have_dashes: bool) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut i = 1;
    while i < bytes.len() {
        let fits = matches!(bytes[i], b'a'..=b'z' | b'0'..=b'9' | b'_') || (bytes[i] == b'-' && may_have_dashes);
        if !fits {
            return false;
        }
        i += 1;
    }
    true
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Makes a component of steps: `plugin!(Count, Split)`. Beside it stands a type `Plugin`, which tests call by its steps' names
/// (`test::call::<Plugin>("count", ...)`).
///
/// A connector says as well which hosts it wants to reach, and which secrets it uses with which of them. What is asked for
/// here is granted by the operator's configuration or not at all.
///
/// ```
/// # use moltrun_step::prelude::*;
/// # struct Push;
/// # impl Step for Push {
/// #     type Input = Value;
/// #     type Output = Value;
/// #     const NAME: &'static str = "push";
/// #     const SUMMARY: &'static str = "";
/// #     fn run(input: Value, _: &Context) -> Result<Exit<Value>, Error> { Ok(input.into()) }
/// # }
/// plugin! {
///     steps: [Push],
///     hosts: ["api.crm.example:443"],
///     secrets: { "CRM_TOKEN" => ["api.crm.example:443"] },
/// }
/// # use moltrun_step::plugin::Plugin as _;
/// # assert_eq!(Plugin::about().secrets, [("CRM_TOKEN", vec!["api.crm.example:443"])]);
/// ```
///
/// A name that moltrun would refuse, or one that is there twice, does not compile:
///
/// ```compile_fail
/// # use moltrun_step::prelude::*;
/// # struct Push;
/// # impl Step for Push {
/// #     type Input = Value;
/// #     type Output = Value;
/// const NAME: &'static str = "Push it";
/// #     const SUMMARY: &'static str = "";
/// #     fn run(input: Value, _: &Context) -> Result<Exit<Value>, Error> { Ok(input.into()) }
/// # }
/// plugin!(Push);
/// ```
#[macro_export]
macro_rules! plugin {
    (
        steps: [$($step:ty),+ $(,)?]
        $(, hosts: [$($host:expr),* $(,)?])?
        $(, secrets: {$($secret:expr => [$($to:expr),* $(,)?]),* $(,)?})?
        $(,)?
    ) => {
        /// All steps of this plugin.
        pub struct Plugin;

        impl $crate::plugin::Plugin for Plugin {
            fn about() -> $crate::plugin::About {
                $crate::plugin::About {
                    version: ::core::env!("CARGO_PKG_VERSION"),
                    steps: ::std::vec![$($crate::plugin::StepAbout::of::<$step>()),+],
                    hosts: ::std::vec![$($($host),*)?],
                    secrets: ::std::vec![$($(($secret, ::std::vec![$($to),*])),*)?],
                }
            }

            fn run(
                step: &str,
                input: &str,
                context: &$crate::Context,
            ) -> ::core::result::Result<$crate::Exit<::std::string::String>, $crate::Error> {
                $(if step == <$step as $crate::Step>::NAME {
                    return $crate::plugin::run::<$step>(input, context);
                })+
                ::core::result::Result::Err($crate::plugin::unknown(step, &[$(<$step as $crate::Step>::NAME),+]))
            }
        }

        const _: () = {
            let names = &[$(<$step as $crate::Step>::NAME),+];
            ::core::assert!(
                $crate::plugin::has_good_names(names, true),
                "a step's NAME is [a-z][a-z0-9_-]*, at most 64 characters, and no other step's"
            );
            $(::core::assert!(
                $crate::plugin::has_good_names(<$step as $crate::Step>::PORTS, false),
                "a port is [a-z][a-z0-9_]*, at most 64 characters, and is there once"
            );)+
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::guest::bindings::export!(Plugin with_types_in $crate::guest::bindings);
        };
    };
    ($($step:ty),+ $(,)?) => { $crate::plugin! { steps: [$($step),+] } };
}
