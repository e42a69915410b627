//! What `wit-bindgen` makes of the contract in `wit/`.
//!
//! The world names all that the SDK offers; a component in the end imports only what its code uses.

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package toolcell:guest;
        world guest {
            import toolcell:tool/log@0.1.0;
            import toolcell:tool/progress@0.1.0;
            import toolcell:tool/secrets@0.1.0;
            import toolcell:tool/tools@0.1.0;
            export toolcell:tool/tool@0.1.0;
        }
    ",
    world: "toolcell:guest/guest",
    runtime_path: "::toolcell_guest::__private::wit_bindgen::rt",
    default_bindings_module: "::toolcell_guest::__private::bindings",
    pub_export_macro: true,
    additional_derives: [PartialEq, Eq],
    generate_all,
});
