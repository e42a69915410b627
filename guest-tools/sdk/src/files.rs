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
        use bindings::wasi::filesystem::{preopens::get_directories, types::DescriptorFlags};
        // Besides grants there may be a `/` that can neither be read nor written: it only tells
        // the host what was asked for in vain.
        let usable = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
        get_directories()
            .into_iter()
            .filter(|(dir, _)| dir.get_flags().is_ok_and(|flags| flags.intersects(usable)))
            .map(|(_, name)| name)
            .collect()
    }
    #[cfg(not(target_family = "wasm"))]
    {
        Vec::new()
    }
}
