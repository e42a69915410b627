//! The Rust side of the exported interface, made from `wit/`.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "toolcell:tool/pure-tool",
    imports: { default: async | trappable },
    exports: { default: async },
    require_store_data_send: true,
});

pub(crate) use self::exports::toolcell::tool::tool::{Content, ToolError};
pub(crate) use self::toolcell::tool::types::{ErrorKind, ResourceBody};
