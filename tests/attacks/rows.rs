//! Every attack that has tests of its own here, in the order of the threat model. The tables in SECURITY.md are made of
//! it: `INSTA_UPDATE=always cargo test -p toolcell-cli --test docs` writes them anew.

/// One attack.
pub(crate) struct Row {
    /// Its id in the threat model, upper case. Its tests are called `attack_<id>_…`.
    pub(crate) id: &'static str,
    /// What the attacker does.
    pub(crate) attack: &'static str,
    /// What holds against it, and where it holds in part only, what is missing.
    pub(crate) defence: &'static str,
    /// Tests of the parts that the defence is made of.
    pub(crate) parts: &'static [&'static str],
}

const fn row(
    id: &'static str,
    attack: &'static str,
    defence: &'static str,
    parts: &'static [&'static str],
) -> Row {
    Row {
        id,
        attack,
        defence,
        parts,
    }
}

/// The groups of the threat model that this suite is about: the letter, the title, and their attacks.
pub(crate) const GROUPS: &[(&str, &str, &[Row])] = &[
    ("F", "Files", FILES),
    ("R", "Resources", RESOURCES),
    ("P", "Loading", LOADING),
    ("N", "Network", NETWORK),
    ("S", "Secrets", SECRETS),
];

const FILES: &[Row] = &[
    row(
        "F1",
        "`..` in thousands of spellings, to every depth",
        "paths resolve beneath the granted directory only",
        &[
            "nothing_leads_out",
            "no_path_opens_the_secret",
            "no_path_leads_out_of_a_grant",
        ],
    ),
    row(
        "F2",
        "absolute paths in every disguise",
        "an absolute path is one of the guest's, never one of the host's",
        &[
            "nothing_leads_out",
            "a_path_outside_all_grants_is_denied_with_the_rule",
        ],
    ),
    row(
        "F3",
        "every operation through a link that leads out",
        "links are followed beneath the granted directory only",
        &[
            "nothing_leads_out",
            "a_link_that_the_guest_makes_leads_nowhere",
            "a_link_that_a_guest_makes_leads_nowhere_either",
        ],
    ),
    row(
        "F4",
        "slashes behind links, opened with all kinds of flags",
        "a fixed engine; openat2 where the kernel has it",
        &["nothing_leads_out"],
    ),
    row(
        "F5",
        "a directory that turns into a link during the call",
        "handles, and no check of a path before its use",
        &["a_directory_that_turns_into_a_link_leads_nowhere"],
    ),
    row(
        "F6",
        "renaming and linking from a read grant into a write grant and back",
        "both sides need write access",
        &["a_read_grant_refuses_every_change"],
    ),
    row(
        "F7",
        "a hard link to a secret that was in the directory before",
        "cannot be seen by any sandbox: `toolcell doctor` warns of files with a second name",
        &["doctor_warns_of_hard_links_in_granted_directories"],
    ),
    row(
        "F8",
        "truncating and changing files in a read grant",
        "every operation that changes something needs write access",
        &["a_read_grant_refuses_every_change"],
    ),
    row(
        "F9",
        "a grant on `/`, `/proc`, `/sys`, `/dev`, `/run` or the home directory, under any name",
        "refused by identity, not by name; what is mounted there later is not seen",
        &[
            "system_directories_are_refused_under_every_name",
            "kernel_file_systems_are_known_by_their_number",
            "a_home_may_hold_grants_but_be_none",
        ],
    ),
    row(
        "F10",
        "a grant that overlaps the host's own state",
        "refused in both directions, by identity",
        &[
            "what_overlaps_the_host_s_own_state_is_refused_in_both_directions",
            "a_grant_on_the_hosts_own_state_is_refused",
        ],
    ),
    row(
        "F11",
        "names that other file systems take for the same, or for devices",
        "directories are the boundary, names are none",
        &["strange_names_are_errors_and_nothing_worse"],
    ),
    row(
        "F12",
        "names with NUL, too long, too deep, no UTF-8",
        "always the same error, nothing cut",
        &[
            "strange_names_are_errors_and_nothing_worse",
            "a_name_that_is_no_unicode_is_an_error_in_the_listing",
        ],
    ),
    row(
        "F13",
        "FIFOs, devices and sockets that block whoever opens them",
        "refused before they are opened; in a thread, a hung mount still holds that thread",
        &[
            "fifos_devices_and_sockets_are_refused_without_blocking",
            "a_device_is_refused",
        ],
    ),
    row(
        "F14",
        "filling the disk with bytes, files and holes",
        "quotas of the call are charged before anything is written, and some of the disk stays free",
        &[
            "written_bytes_end_the_call_at_the_quota",
            "created_names_end_the_call_at_the_quota",
            "growth_without_content_counts_as_written",
            "the_disk_is_not_filled",
            "some_of_the_disk_is_left_free",
            "a_full_disk_ends_the_call_before_anything_is_written",
        ],
    ),
    row(
        "F15",
        "files that a person's programs obey: hooks, start-up files, settings of editors and agents",
        "a list of guarded places inside write grants, unless the grant unlocks them",
        &[
            "the_guide_lists_every_place",
            "guarded_places_are_not_changed_in_any_way_under_any_spelling",
            "no_path_leads_around_the_names",
            "what_a_grant_unlocks_is_open_and_nothing_else",
        ],
    ),
    row(
        "F16",
        "paths of the host in errors and answers",
        "guests and models hear of guest paths only",
        &[
            "a_link_does_not_tell_the_host_s_paths",
            "no_path_leads_out_of_a_grant",
        ],
    ),
    row(
        "F17",
        "changing times and modes to hide a change",
        "refused in a read grant, on record in a write grant; there is no chmod",
        &["a_read_grant_refuses_every_change"],
    ),
    row(
        "F18",
        "huge and deep directories, listed again and again",
        "few listings at once, and the limits of the call",
        &["listings_that_stay_open_are_few"],
    ),
    row(
        "F19",
        "looking for what other calls left in their scratch directories",
        "a directory for each call, deleted with it",
        &[
            "every_call_has_its_own_and_nothing_stays",
            "what_a_dead_host_left_is_deleted_and_what_a_living_one_has_is_not",
        ],
    ),
];

const RESOURCES: &[Row] = &[
    row(
        "R1",
        "endless loops in the call, before and after it, and while it is loaded",
        "limits hold from before the first instruction; loading runs nothing",
        &[
            "an_endless_loop_ends_at_its_cpu_limit",
            "an_endless_loop_ends_at_its_deadline",
            "an_endless_loop_before_the_call_ends_too",
        ],
    ),
    row(
        "R2",
        "sleeping for ever",
        "one deadline around the whole call",
        &[
            "sleeping_ends_at_the_deadline",
            "what_never_ends_is_killed_at_its_deadline",
        ],
    ),
    row(
        "R3",
        "memories, one and many, and tables",
        "one sum over all memories, ceilings for tables and instances",
        &[
            "memory_is_bounded",
            "many_memories_count_together",
            "more_memories_than_any_tool_needs_are_refused_at_once",
            "tables_are_bounded",
        ],
    ),
    row(
        "R4",
        "making the host allocate: answers, random bytes, open files",
        "ceilings for what one host call copies and for what a call holds",
        &["output_that_a_guest_only_pretends_to_have_is_bounded"],
    ),
    row(
        "R5",
        "huge answers",
        "withheld beyond the limit `output`",
        &["output_is_bounded", "a_large_answer_is_refused"],
    ),
    row(
        "R6",
        "deep recursion",
        "a trap at the end of a small stack",
        &["deep_recursion_traps"],
    ),
    row(
        "R7",
        "floods of log and output",
        "a limit ends the call, and nothing is inherited",
        &[
            "the_log_is_bounded",
            "standard_output_is_bounded_and_goes_nowhere",
            "empty_lines_are_limited_too",
        ],
    ),
    row(
        "R8",
        "writing into the stream of MCP",
        "a guest's standard output is the host's log, never the host's output",
        &["what_a_tool_prints_does_not_reach_the_client"],
    ),
    row(
        "R9",
        "components that are small and expensive to compile",
        "compiled in a worker of its own, within limits of time, computing and memory",
        &[
            "a_large_file_is_refused_before_it_is_read",
            "what_takes_too_long_to_compile_is_no_component",
        ],
    ),
    row(
        "R10",
        "keeping state between calls",
        "a store is born and dies with its call",
        &["every_call_starts_anew"],
    ),
    row(
        "R11",
        "calls of calls, in circles and side by side",
        "a depth, a number and one budget for the whole tree",
        &[
            "calls_of_calls_end",
            "the_depth_is_limited",
            "all_calls_of_a_tree_share_one_budget",
        ],
    ),
    row(
        "R12",
        "taking every place and giving none back",
        "a tool gets a further place only while more are free than it holds; waiting is bounded",
        &[
            "a_call_too_many_is_busy_after_a_bounded_wait",
            "more_calls_than_places_wait_for_their_turn",
            "sixty_four_sleepers_do_not_hold_up_an_honest_call",
            "a_flood_of_one_tool_is_nothing_to_its_neighbour",
        ],
    ),
    row(
        "R13",
        "a system call that hangs and cannot be cancelled",
        "a worker is killed at the deadline; in a thread the call ends, and the thread stays until the system lets it go",
        &["a_worker_that_does_not_listen_any_more_is_killed_at_the_deadline"],
    ),
    row(
        "R14",
        "odd values at the boundary: wrong cases, wrong UTF-8, pieces outside the memory",
        "the engine checks each; a panic of the host ends the call and nothing else",
        &[],
    ),
    row(
        "R15",
        "so much load that the engine's clock hardly runs",
        "the clock has a thread of its own, and the deadline needs none",
        &[],
    ),
    row(
        "R16",
        "learning about others from what a call costs in fuel",
        "the same input costs the same fuel",
        &[],
    ),
];

const LOADING: &[Row] = &[
    row(
        "P1",
        "native code in a package; a changed or exchanged entry of the compile cache",
        "only components are loaded; every entry of the cache has a MAC and one name",
        &[
            "what_is_no_component_is_refused_with_the_reason",
            "a_compiled_component_is_refused",
            "a_changed_byte_anywhere_is_noticed",
            "an_entry_under_another_name_or_key_is_refused",
        ],
    ),
    row(
        "P2",
        "other bytes than those that were locked",
        "a lock's digest is compared before anything is parsed",
        &[
            "every_sampled_byte_counts",
            "what_changed_is_refused_and_told_permissions_first",
        ],
    ),
    row(
        "P6",
        "imports beyond what was requested, in other versions and shapes, and hidden inside",
        "what is not offered is refused by its name; nothing is linked to a trap",
        &[
            "imports_that_nobody_declared_are_refused_by_name",
            "an_import_that_is_not_offered_is_named",
            "another_version_of_the_contract_is_named",
        ],
    ),
    row(
        "P7",
        "components changed at random, and proposals that are switched off",
        "everything is validated before it is compiled",
        &[
            "garbage_is_refused_and_never_panics",
            "a_component_cut_anywhere_is_refused",
            "features_that_are_off_are_refused",
        ],
    ),
    row(
        "P11",
        "names, levels, types, tools and texts without end",
        "ceilings that hold before anything is compiled",
        &["names_and_nesting_are_bounded", "sizes_have_ceilings"],
    ),
];

const NETWORK: &[Row] = &[
    row(
        "N1",
        "every operation on sockets: TCP, UDP, listening",
        "linked, since some languages import them unasked, and denied each",
        &["no_socket_opens", "sockets_and_name_resolution_are_denied"],
    ),
    row(
        "N2",
        "data in the names that are looked up",
        "guests look nothing up, and the host only what a rule grants",
        &[
            "no_socket_opens",
            "what_no_rule_grants_is_denied_before_any_name_is_looked_up",
        ],
    ),
    row(
        "N3",
        "more than a hundred addresses that parsers read in two ways",
        "one reading decides and is what is dialled, looked up and written",
        &[
            "tricks_in_an_address_reach_no_other_host",
            "addresses_with_two_readings_are_refused",
            "what_is_read_is_what_the_other_parser_reads",
        ],
    ),
    row(
        "N4",
        "dots at the end, case, full-width letters, soft hyphens, punycode",
        "names are compared in their normal form; what is not in it is refused",
        &[
            "tricks_in_an_address_reach_no_other_host",
            "what_is_never_sent_is_denied_without_its_credentials",
            "endpoints_are_normalised",
        ],
    ),
    row(
        "N5",
        "IP addresses in decimal, octal, hexadecimal, short, mixed and IPv6 spellings",
        "only the normal form is an address, and only a rule that spells it out reaches it",
        &[
            "tricks_in_an_address_reach_no_other_host",
            "an_address_that_a_rule_spells_out_is_reached",
        ],
    ),
    row(
        "N6",
        "a granted name that leads into this machine, its network or a metadata service",
        "every address is looked at before one is dialled, and one bad one refuses all",
        &[
            "a_public_name_may_only_lead_to_public_addresses",
            "one_special_address_among_many_refuses_all",
            "a_public_name_that_leads_to_a_special_address_is_denied",
            "no_address_of_a_special_block_is_public",
        ],
    ),
    row(
        "N7",
        "an IPv4 address inside an IPv6 one, and the special blocks of IPv6",
        "embedded addresses are looked at too; only global unicast is public",
        &[
            "a_special_ipv4_address_stays_special_inside_an_ipv6_one",
            "public_ipv6_is_global_unicast_or_a_translated_public_ipv4",
        ],
    ),
    row(
        "N8",
        "a name that leads elsewhere at every lookup",
        "one lookup a connection, and the checked address is dialled",
        &["what_was_checked_is_dialled_and_a_rebound_name_is_refused"],
    ),
    row(
        "N9",
        "redirects of every kind to other hosts, without encryption, to metadata services",
        "handed to the tool, or followed where a rule says so: each is decided afresh, and no credential goes along",
        &[
            "redirects_come_back_as_they_are",
            "pages_are_fetched_and_every_redirect_is_decided_on",
        ],
    ),
    row(
        "N10",
        "another port, scheme, method or path",
        "a rule is all of them together",
        &[
            "hosts_match_exactly_or_by_one_label",
            "endpoints_are_normalised",
        ],
    ),
    row(
        "N11",
        "wildcards that match too much, rules that do",
        "`*.` is one label and stands before a whole domain",
        &[
            "hosts_match_exactly_or_by_one_label",
            "what_is_no_endpoint_is_refused_with_a_hint",
            "a_wildcard_is_one_label",
        ],
    ),
    row(
        "N12",
        "another `Host`, an absolute request line, another name in TLS",
        "all three are made of the address that was decided on",
        &[
            "the_host_header_comes_from_the_address",
            "headers_of_the_connection_are_forbidden_in_headers_and_trailers",
            "a_request_goes_out_in_origin_form_with_headers_of_ours",
        ],
    ),
    row(
        "N13",
        "line breaks, NUL and naughty texts in every part of a request",
        "refused, never taken out",
        &["line_breaks_and_nul_never_get_into_a_header"],
    ),
    row(
        "N14",
        "requests whose end two readers see in two places",
        "length and coding are the host's; two readers in the test agree on every byte that arrives",
        &[
            "headers_of_the_connection_are_forbidden_in_headers_and_trailers",
            "what_is_no_http_is_an_error_in_our_words",
        ],
    ),
    row(
        "N15",
        "CONNECT, TRACE, other methods, Upgrade, h2c and websockets",
        "a closed list of methods; fields of the connection are the host's",
        &[
            "what_is_never_sent_is_denied_without_its_credentials",
            "headers_of_the_connection_are_forbidden_in_headers_and_trailers",
            "what_is_no_http_is_an_error_in_our_words",
        ],
    ),
    row(
        "N16",
        "a tool that would wait for ten years",
        "every time ends at the call's deadline",
        &[
            "every_step_ends_at_the_deadline",
            "a_slow_server_ends_with_the_call",
        ],
    ),
    row(
        "N17",
        "heads, bodies and trailers that come letter by letter",
        "the same deadline; there is no least speed before it",
        &["a_server_that_drips_does_not_outlast_the_call"],
    ),
    row(
        "N18",
        "bodies without end, and one of ten gigabytes",
        "a limit on what is read, and nothing is read beyond it",
        &[
            "an_endless_body_ends_at_its_limit",
            "a_response_beyond_its_limit_fails_its_body",
        ],
    ),
    row(
        "N19",
        "ten megabytes of zeros in ten kilobytes",
        "the host unpacks nothing for a tool",
        &[],
    ),
    row(
        "N20",
        "fields, status lines and interim answers without end, and what is no HTTP",
        "limits on the head as it arrives; errors in our words",
        &[
            "heads_that_never_end_are_cut_off",
            "a_flood_of_headers_is_cut_off",
            "what_is_no_http_is_an_error_in_our_words",
        ],
    ),
    row(
        "N21",
        "certificates for others, by nobody known, too early, too late",
        "checked for every connection, and no tool can say otherwise",
        &["tls_speaks_to_a_server_that_a_root_vouches_for_and_to_no_other"],
    ),
    row(
        "N22",
        "the host's own ports by every name and address of this machine",
        "its own addresses are private ones: only a rule that names such a place reaches them",
        &["this_machine_knows_its_own_addresses"],
    ),
    row(
        "N23",
        "a thousand requests at once, and knocking on ports",
        "limits on requests and on connections; what is not granted sounds alike. How long a granted host takes is not hidden",
        &["requests_are_counted_also_when_they_are_denied"],
    ),
    row(
        "N24",
        "data in what is asked of a granted host",
        "cannot be prevented, only narrowed: what went out, and to whom, is on record",
        &["requests_are_counted_by_host_and_further_hosts_together"],
    ),
];

const SECRETS: &[Row] = &[
    row(
        "S1",
        "everything a tool can learn of where it runs",
        "no arguments, and the variables that a policy writes",
        &[],
    ),
    row(
        "S2",
        "a credential for other hosts, methods and paths, and a way to ask for it",
        "the host adds it, after the policy, to what it is bound to; the contract has no function that returns one",
        &[
            "a_secret_goes_where_its_binding_says",
            "a_secret_goes_to_no_other_method_and_path",
            "a_request_that_may_be_taken_for_another_one_carries_no_secret",
        ],
    ),
    row(
        "S3",
        "a server that says it back in 18 forms and 7 ways",
        "headers, trailers and the body are searched for every form before the tool sees them",
        &[
            "every_part_of_an_answer_is_searched",
            "it_is_the_same_in_http2",
            "a_value_that_is_fetched_while_a_body_comes_is_found_in_the_rest_of_it",
        ],
    ),
    row(
        "S4",
        "asking for an encoded answer, and a server that encodes unasked",
        "the host asks for none, and withholds what is encoded",
        &[
            "what_cannot_be_searched_is_withheld",
            "what_is_encoded_is_withheld",
            "a_body_is_known_by_how_it_begins_in_pieces_too",
        ],
    ),
    row(
        "S5",
        "asking for an answer in slices",
        "the host asks for no part, and withholds one. What a server's own parameters cut is out of reach: bind to paths",
        &[
            "an_answer_is_asked_for_plain_and_whole",
            "parts_are_withheld",
        ],
    ),
    row(
        "S6",
        "a credential cut at every place, by chunks and by writes",
        "what could be the beginning of one is held back",
        &["every_part_of_an_answer_is_searched"],
    ),
    row(
        "S7",
        "filling the place of a credential oneself, in every spelling",
        "refused; a place in JSON is replaced",
        &[
            "a_tool_that_fills_the_place_itself_is_refused",
            "trailers_leave_the_place_alone_too",
            "a_header_is_known_in_every_spelling",
            "a_parameter_is_known_in_every_spelling",
        ],
    ),
    row(
        "S8",
        "hosts that look like its own, another port, no encryption; bindings that reach them",
        "a binding is one https host and port",
        &["a_wider_rule_takes_no_secret_to_other_destinations"],
    ),
    row(
        "S9",
        "a redirect that says back what came in the query",
        "headers are searched like all else; a place in the query is warned of",
        &[
            "only_the_first_request_carries_a_secret",
            "an_address_with_a_secret_in_it_is_handed_over_without_and_not_followed",
        ],
    ),
    row(
        "S10",
        "errors on the way, at every stage of it",
        "errors are the host's own words",
        &["an_error_of_the_way_out_does_not_show_the_address_with_the_secret"],
    ),
    row(
        "S11",
        "logs at their most talkative, transcripts, audit logs, states, caches, messages",
        "values have no form that can be shown, and every sink is searched. Known is what was looked up before",
        &[
            "a_call_shows_no_key_in_any_shape",
            "a_value_is_kept_listed_checked_used_and_removed_and_never_shown",
        ],
    ),
    row(
        "S12",
        "core dumps, and what `/proc` shows of the program and its workers",
        "neither dumps core; a variable stays readable for the system's administrator, so prefer files and the vault",
        &["a_process_that_knows_secrets_is_closed"],
    ),
    row(
        "S13",
        "learning by asking whether one exists",
        "yes or no, of the tool's own",
        &[
            "a_tool_hears_of_its_own_secrets_and_of_no_value",
            "a_worker_knows_the_names_of_secrets",
        ],
    ),
    row(
        "S14",
        "telling one in an answer, in every form and every kind of content",
        "what leaves a sandbox is searched, and what is written down once more",
        &[],
    ),
    row(
        "S15",
        "a model that hands one to a tool",
        "an input that holds a known one is refused",
        &[],
    ),
    row(
        "S16",
        "one character encoded, something invisible inside, capitals",
        "escapes and what is not seen are read through",
        &[],
    ),
    row(
        "S17",
        "one between bytes that are no text",
        "bytes are searched, and all others stay what they are",
        &["bytes_that_are_no_secret_stay_as_they_are"],
    ),
    row(
        "S18",
        "another tenant's credential of the same name",
        "looked up for each call by tenant, package and name",
        &[],
    ),
    row(
        "S19",
        "a value so short or common that taking it out would tell it",
        "refused where it is registered",
        &[],
    ),
    row(
        "S20",
        "reading the memory that a tool runs beside",
        "a worker has no credential in it; a thread has the host's memory beside it, and the engine's guards",
        &["a_secret_stays_in_the_host"],
    ),
];
