//! Host-side types and traits of `wit/step.wit`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "transform",
    imports: { default: trappable },
    exports: { default: async },
});
