//! Attacks through somebody else: files in a write grant that a person's own programs run or obey later.

use serde_json::json;

use crate::{
    files::write_work,
    stage::{Run, Spoils, Stage, attack, changes, tree},
};

/// Guarded places, and a file in each that some program obeys.
const OBEYED: &[(&str, &str)] = &[
    (".git/hooks", ".git/hooks/pre-commit"),
    (".git/config", ".git/config"),
    (".bashrc", ".bashrc"),
    (".profile", ".profile"),
    (".zshrc", ".zshrc"),
    (".envrc", ".envrc"),
    (".vscode", ".vscode/tasks.json"),
    (".mcp.json", ".mcp.json"),
    ("AGENTS.md", "AGENTS.md"),
    (".npmrc", ".npmrc"),
    (".cargo", ".cargo/config.toml"),
    (".ssh", ".ssh/authorized_keys"),
    ("toolcell.toml", "toolcell.toml"),
    (".config/fish", ".config/fish/config.fish"),
];

/// The same name in every case.
fn cases(path: &str) -> [String; 4] {
    let mut upper = true;
    let mixed = path.chars().map(|c| {
        upper = !upper;
        if upper {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    });
    [
        path.to_owned(),
        path.to_uppercase(),
        path.to_lowercase(),
        mixed.collect(),
    ]
}

/// F15: such files are written, renamed into place, linked, reached around corners, and shut out with their directory.
async fn f15(run: Run) -> Spoils {
    let places: Vec<String> = OBEYED
        .iter()
        .map(|(place, _)| format!("{place:?}"))
        .collect();
    let unlock = match run.defended {
        true => String::new(),
        false => format!(", unlock = [{}, \".git\"]", places.join(", ")),
    };
    // The grant stays narrow: what makes the difference here is only what it unlocks.
    let policy = write_work(
        Run {
            defended: true,
            ..run
        },
        "paths",
    )
    .replace("access = \"write\"", &format!("access = \"write\"{unlock}"));
    let names = [
        "work/.git/hooks/",
        "work/.vscode/",
        "work/.config/fish/",
        "work/.cargo/",
        "work/.ssh/",
        "work/sub/",
        "work/spare",
    ];
    let stage = Stage::new(run, &policy, &names).load(&["paths"]).await;
    for (_, file) in OBEYED {
        std::fs::write(stage.path("work").join(file), "as the person left it").unwrap();
    }
    let guarded = |tree: crate::stage::Tree| -> crate::stage::Tree {
        let dirs = ["/work", "/work/sub", "/work/spare", "/work/corner"];
        let own = |path: &str| dirs.iter().any(|dir| path.ends_with(dir));
        tree.into_iter().filter(|(path, _)| !own(path)).collect()
    };
    let before = guarded(tree(&stage.path("work")));
    stage
        .call(
            "paths_link",
            json!({ "target": ".git", "path": "/work/corner" }),
        )
        .await;
    for (_, file) in OBEYED {
        for name in cases(file) {
            let around = name.replace(".git/", "corner/");
            for path in [
                format!("/work/{name}"),
                format!("/work/sub/../{name}"),
                format!("/work/sub/{name}"),
                format!("/work/{around}"),
            ] {
                for (tool, input) in [
                    ("write", json!({ "path": path, "text": "evil" })),
                    ("append", json!({ "path": path })),
                    ("truncate", json!({ "path": path })),
                    ("touch", json!({ "path": path })),
                    ("mkdir", json!({ "path": path })),
                    ("link", json!({ "path": path, "target": "spare" })),
                    ("hardlink", json!({ "path": "/work/spare", "to": path })),
                    ("rename", json!({ "path": "/work/spare", "to": path })),
                    ("rename", json!({ "path": path, "to": "/work/taken" })),
                    ("remove", json!({ "path": path })),
                ] {
                    stage.call(&format!("paths_{tool}"), input).await;
                }
            }
        }
    }
    changes(&before, &guarded(tree(&stage.path("work"))))
}

attack! { f15:
    attack_f15_thread = THREAD,
    attack_f15_process = PROCESS,
    attack_f15_thread_without_openat2 = THREAD_WITHOUT_OPENAT2,
    attack_f15_process_without_openat2 = PROCESS_WITHOUT_OPENAT2,
    attack_f15_is_seen_without_its_defence = UNDEFENDED,
}
