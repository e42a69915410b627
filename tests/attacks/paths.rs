//! Lists of paths that have led out of other sandboxes: every spelling of "one up" that we know of, from every start,
//! to every depth, with every ending.

/// Ways to write "one up", or to make somebody believe that something else was meant.
const UPS: &[&str] = &[
    "../",
    "..//",
    "./../",
    ".././",
    "sub/../../",
    "x/../../",
    "a/b/../../../",
    "..\\",
    "..\\/",
    "..%2f",
    "..%2F",
    "%2e%2e/",
    "%2e%2e%2f",
    "%2e./",
    ".%2e/",
    "..%5c",
    "..%252f",
    "%252e%252e/",
    "..%c0%af",
    "%c0%ae%c0%ae/",
    "..%e0%80%af",
    "..%ef%bc%8f",
    "%uff0e%uff0e/",
    "..%u2215",
    "....//",
    "....\\/",
    ".../",
    "...//",
    "..;/",
    "..\0/",
    "..%00/",
    ".. /",
    ". ./",
    " ../",
    "..\t/",
    "..\n/",
    "..\r/",
    "\u{ff0e}\u{ff0e}/",
    "..\u{ff0f}",
    "..\u{2215}",
    "..\u{2044}",
    "..\u{29f8}",
    "\u{2025}/",
    "\u{2024}\u{2024}/",
    "\u{fe52}\u{fe52}/",
    "\u{202e}../",
    "..\u{200b}/",
    "\u{feff}../",
    "\u{e0041}../",
    "..\u{0338}/",
    "%%32%65%%32%65/",
    "..%0a/",
    "..|/",
    "..:/",
    "..::$DATA/",
    "~/",
    "$(echo ..)/",
    "..#/",
    "..?/",
    "\\..\\",
    "/../",
    "/./../",
    "../sub/../",
];

const STARTS: &[&str] = &[
    "/work/",
    "",
    "/work/./",
    "//work//",
    "/work/sub/",
    "file:///work/",
    "/work",
];

const ENDS: &[&str] = &["canary", "canary/", "./canary", "canary\0.txt"];

/// Paths that climb from one to twelve levels above `/work`.
pub(crate) fn climbing() -> Vec<String> {
    let mut paths = Vec::new();
    for up in UPS {
        for depth in 1..=12 {
            for (n, start) in STARTS.iter().enumerate() {
                // The plain ending from every start, and the odd ones from the plain start.
                let ends = if n == 0 { ENDS } else { &ENDS[..1] };
                for end in ends {
                    paths.push(format!("{start}{}{end}", up.repeat(depth)));
                }
            }
        }
    }
    // Chains that go down as often as up, and chains longer than any path may be.
    for depth in [20, 100, 1000, 5000] {
        paths.push(format!("/work/{}canary", "../".repeat(depth)));
        paths.push(format!(
            "/work/{}canary",
            "sub/../../work/../".repeat(depth)
        ));
        paths.push(format!("/work/{}../canary", "./".repeat(depth)));
        paths.push(format!("/work/{}../canary", "sub/../".repeat(depth)));
        paths.push(format!("/work{}/../canary", "/".repeat(depth)));
    }
    paths
}

/// What may stand before an absolute path.
const BEFORE: &[&str] = &[
    "",
    "/",
    "//",
    "/./",
    "/../",
    "/../../",
    "\\",
    "file://",
    "file:///",
    "file:",
    "/proc/self/root/",
    "/proc/self/cwd/",
    "/proc/1/root/",
    "/dev/fd/3/",
    "/proc/self/fd/3/",
    "/proc/thread-self/root/",
    "//?/",
    "\\\\?\\",
    "\\\\.\\",
    "//localhost/",
    "C:/",
    "C:\\",
    "unix:",
    "/..;/",
    "/%2e%2e/",
    "/%2f/",
    "\u{2215}",
    "\u{ff0f}",
    "/\u{200b}/",
    "~/../..",
    "~root/../",
    "$HOME/../../",
    "/work//",
    "/work/./",
    "/work//../",
    "/work/../",
    "/work\0/",
    "/work/file:///",
    "/workaround/../",
];

/// Absolute paths that mean `target`, an absolute path on the host, to somebody.
pub(crate) fn absolute(target: &str) -> Vec<String> {
    let relative = target.trim_start_matches('/');
    let mut paths: Vec<String> = BEFORE
        .iter()
        .flat_map(|before| {
            [
                format!("{before}{relative}"),
                format!("{before}/{relative}"),
                format!("{before}{relative}/"),
                format!("{before}{relative}\0"),
            ]
        })
        .collect();
    paths.push(target.to_owned());
    paths.push(target.replace('/', "//"));
    paths.push(target.replace('/', "/./"));
    paths.push(target.replace('/', "%2f"));
    paths.push(target.replace('/', "\\"));
    paths.extend(
        [
            "/etc/passwd",
            "/etc/hostname",
            "/etc/shadow",
            "/proc/self/environ",
            "/proc/self/maps",
            "/proc/self/mem",
            "/proc/1/environ",
            "/proc/version",
            "/sys/kernel/hostname",
            "/dev/zero",
            "/dev/stdin",
            "/dev/random",
            "/run/docker.sock",
            "/root/.ssh/id_rsa",
            "/var/run/secrets",
        ]
        .map(str::to_owned),
    );
    paths
}
