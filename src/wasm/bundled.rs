//! Plugins that are part of the binary, so that it runs the examples with nothing beside it. They are made by
//! `plugins/build.sh`.

/// The JavaScript engine of the step `script`. It is no plugin: it speaks an interface of its own.
pub(super) const SCRIPT: &[u8] = include_bytes!("../../plugins/dist/script.wasm");

/// Name and component. A file of the same name in the plugins folder wins.
pub(super) const BUNDLED: &[(&str, &[u8])] = &[
    ("crm-webhook", include_bytes!("../../plugins/dist/crm-webhook.wasm")),
    ("keyword-score", include_bytes!("../../plugins/dist/keyword-score.wasm")),
    ("lead-score", include_bytes!("../../plugins/dist/lead-score.wasm")),
    ("phone-tools", include_bytes!("../../plugins/dist/phone-tools.wasm")),
    ("text-guard", include_bytes!("../../plugins/dist/text-guard.wasm")),
];
