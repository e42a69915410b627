//! What was granted of the file system. The files themselves are read and written with
//! [`std::fs`], under the paths that the operator gave them.

#[cfg(target_family = "wasm")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package toolcell:guest-files;
            world files {
                import wasi:filesystem/preopens@0.2.12;
            }
        ",
        world: "toolcell:guest-files/files",
        runtime_path: "::toolcell_guest::__private::wit_bindgen::rt",
        type_section_suffix: "-files",
        generate_all,
    });
}

/// The granted directories, in the order of the policy, for example `["/work"]`. Empty when
/// nothing was granted, and outside a sandbox.
#[must_use]
pub fn granted() -> Vec<String> {
    #[cfg(target_family = "wasm")]
    {
        let preopens = bindings::wasi::filesystem::preopens::get_directories();
        let mut names: Vec<String> = preopens.into_iter().map(|(_, name)| name).collect();
        // Besides grants there may be a `/` that only tells the host what was asked for in vain.
        if names.len() > 1 {
            names.retain(|name| name != "/");
        }
        names
    }
    #[cfg(not(target_family = "wasm"))]
    {
        Vec::new()
    }
}
