//! Host-side types and traits of `wit/step.wit`: of everything that a guest of either world may import, but for WASI, which
//! has its own.

wasmtime::component::bindgen!({
    path: "wit",
    inline: "
        package moltrun:host;

        world transform {
            include moltrun:step/transform@1.0.0;
            import moltrun:step/state@1.0.0;
            import moltrun:step/secrets@1.0.0;
        }
    ",
    world: "moltrun:host/transform",
    imports: {
        "moltrun:step/state": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
