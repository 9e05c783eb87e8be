//! Plugins that are part of the binary, so that it runs the examples with nothing beside it. They are made by
//! `plugins/build.sh`.

/// Name and component. A file of the same name in the plugins folder wins.
pub(super) const BUNDLED: &[(&str, &[u8])] =
    &[("keyword-score", include_bytes!("../../plugins/dist/keyword-score.wasm"))];
