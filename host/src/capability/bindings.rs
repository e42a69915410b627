//! The host's side of toolcell's own imports, generated from `wit/`.

wasmtime::component::bindgen!({
    path: "../wit",
    inline: "
        package toolcell:host;
        world imports {
            import toolcell:tool/log@0.1.0;
            import toolcell:tool/progress@0.1.0;
            import toolcell:tool/secrets@0.1.0;
            import toolcell:tool/tools@0.1.0;
        }
    ",
    imports: {
        "toolcell:tool/tools.call": async | trappable,
        default: trappable,
    },
    require_store_data_send: true,
});
