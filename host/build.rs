//! Builds the built-in tools, which are components of their own, and embeds them (feature `builtin-tools`).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32-wasip2";

/// What cargo, clippy and whoever sets flags for the host tell about compiling for the host: none of it holds for the
/// components.
const HOST_ONLY: &[&str] = &[
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

/// A package of the guest workspace that becomes a built-in.
struct Builtin {
    /// The directory under `guest-tools/tools`, and the name in `builtin:NAME`.
    name: String,
    /// The cargo package.
    package: String,
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../guest-tools");
    let builtins = if env::var_os("CARGO_FEATURE_BUILTIN_TOOLS").is_some() {
        find(&workspace)
    } else {
        Vec::new()
    };
    if !builtins.is_empty() {
        build(&workspace, &builtins, &target_dir(&out));
    }
    let entries: String = builtins
        .iter()
        .map(|Builtin { name, .. }| {
            let from = target_dir(&out).join(TARGET).join("release");
            let from = from.join(format!("{}.wasm", name.replace('-', "_")));
            let to = out.join(format!("{name}.wasm"));
            fs::copy(&from, &to)
                .unwrap_or_else(|error| fail(&format!("cannot copy {}: {error}", from.display())));
            format!(
                "({name:?}, include_bytes!({:?})),",
                to.display().to_string()
            )
        })
        .collect();
    let list = format!("&[{entries}]");
    fs::write(out.join("builtins.rs"), list)
        .unwrap_or_else(|error| fail(&format!("cannot write the list of built-in tools: {error}")));
}

/// The built-in tools, sorted by their names. There are none where this crate was taken out of its repository.
fn find(workspace: &Path) -> Vec<Builtin> {
    let tools = workspace.join("tools");
    for part in [
        "Cargo.lock",
        "Cargo.toml",
        "sdk",
        "sdk-macros",
        "tools",
        "../wit",
    ] {
        println!("cargo::rerun-if-changed={}", workspace.join(part).display());
    }
    let Ok(entries) = fs::read_dir(&tools) else {
        println!(
            "cargo::warning=there is no {}: no built-in tools are embedded",
            tools.display()
        );
        return Vec::new();
    };
    let mut builtins: Vec<Builtin> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let manifest = fs::read_to_string(path.join("Cargo.toml")).ok()?;
            let package = manifest.lines().find_map(|line| {
                Some(
                    line.strip_prefix("name = \"")?
                        .strip_suffix('"')?
                        .to_owned(),
                )
            })?;
            let name = path.file_name()?.to_str()?.to_owned();
            Some(Builtin { name, package })
        })
        .collect();
    builtins.sort_by(|a, b| a.name.cmp(&b.name));
    builtins
}

fn build(workspace: &Path, builtins: &[Builtin], target_dir: &Path) {
    check_target();
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(workspace)
        .args([
            "build",
            "--locked",
            "--release",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(target_dir);
    for Builtin { package, .. } in builtins {
        cargo.args(["--package", package]);
    }
    for name in HOST_ONLY {
        cargo.env_remove(name);
    }
    match cargo.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => fail(&format!(
            "the built-in tools cannot be built:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => fail(&format!("cargo cannot be started: {error}")),
    }
}

/// A missing target would otherwise show as an error deep inside some crate.
fn check_target() {
    let libraries = Command::new(variable("RUSTC"))
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    if !libraries.is_some_and(|path| path.is_dir()) {
        fail(&format!(
            "the built-in tools need the Rust target {TARGET}: run `rustup target add {TARGET}`, or build without \
             them (`--no-default-features`)"
        ));
    }
}

/// Beside the host's own artefacts. The components need a directory of their own, since the outer cargo holds the lock
/// of its own.
fn target_dir(out: &Path) -> PathBuf {
    // target/<profile>/build/<package>/out
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) if Path::new(&dir).is_absolute() => PathBuf::from(dir).join("guests"),
        _ => out.ancestors().nth(4).unwrap_or(out).join("guests"),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(message: &str) -> ! {
    for line in message.lines() {
        println!("cargo::error={line}");
    }
    std::process::exit(1);
}
