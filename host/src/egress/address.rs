//! What kind of place an IP address leads to.
//!
//! A tool that was granted a public name must not end up on this machine, in its private network or at a cloud's
//! metadata service because somebody's DNS says so. So only global unicast counts as public, by the IANA registries
//! of special-purpose addresses (IPv4 and IPv6), and an IPv4 address that travels inside an IPv6 one is looked at too.
//! Whole blocks of those registries are refused, also their few globally reachable members (AS112, AMT, anycast
//! relays): none of them serves HTTP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads, with a plain description for everything that is not public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Global unicast: anybody's server on the internet.
    Public,
    /// This machine or its private network: a rule that names a private host reaches it.
    Private(&'static str),
    /// Nothing a name should lead to: only a rule that spells out the address itself reaches it.
    Reserved(&'static str),
}

/// Classifies an address. Total: every address has exactly one kind.
pub(crate) fn classify(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

const METADATA: Reach = Reach::Reserved("the metadata service of a cloud");
const LOOPBACK: Reach = Reach::Private("a loopback address");
const PRIVATE: Reach = Reach::Private("a private network address");
const SHARED: Reach = Reach::Private("a shared network address");
const LINK_LOCAL: Reach = Reach::Reserved("a link-local address");
const PROTOCOL: Reach = Reach::Reserved("an address reserved for protocols");
const DOCUMENTATION: Reach = Reach::Reserved("a documentation address");
const RELAY: Reach = Reach::Reserved("an address of a relay or sink");
const BENCHMARK: Reach = Reach::Reserved("a benchmarking address");
const MULTICAST: Reach = Reach::Reserved("a multicast address");
const RESERVED: Reach = Reach::Reserved("a reserved address");
const TRANSLATED: Reach = Reach::Reserved("an IPv6 form of an IPv4 address");

/// The first block that holds an address decides, so single addresses stand before the blocks around them.
const V4_BLOCKS: &[(Ipv4Addr, u32, Reach)] = &[
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),
    (Ipv4Addr::new(169, 254, 169, 254), 32, METADATA),
    (Ipv4Addr::new(169, 254, 170, 2), 32, METADATA),
    (Ipv4Addr::new(169, 254, 170, 23), 32, METADATA),
    (Ipv4Addr::new(100, 100, 100, 200), 32, METADATA),
    (Ipv4Addr::new(192, 0, 0, 192), 32, METADATA),
    (Ipv4Addr::new(0, 0, 0, 0), 8, RESERVED),
    (Ipv4Addr::new(10, 0, 0, 0), 8, PRIVATE),
    (Ipv4Addr::new(100, 64, 0, 0), 10, SHARED),
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOOPBACK),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL),
    (Ipv4Addr::new(172, 16, 0, 0), 12, PRIVATE),
    (Ipv4Addr::new(192, 0, 0, 0), 24, PROTOCOL),
    (Ipv4Addr::new(192, 0, 2, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(192, 31, 196, 0), 24, RELAY),
    (Ipv4Addr::new(192, 52, 193, 0), 24, RELAY),
    (Ipv4Addr::new(192, 88, 99, 0), 24, RELAY),
    (Ipv4Addr::new(192, 168, 0, 0), 16, PRIVATE),
    (Ipv4Addr::new(192, 175, 48, 0), 24, RELAY),
    (Ipv4Addr::new(198, 18, 0, 0), 15, BENCHMARK),
    (Ipv4Addr::new(198, 51, 100, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(203, 0, 113, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED),
];

/// As [`V4_BLOCKS`]. What no block holds is public inside 2000::/3 and reserved outside of it.
const V6_BLOCKS: &[(Ipv6Addr, u32, Reach)] = &[
    (
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        128,
        METADATA,
    ),
    (
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
        128,
        METADATA,
    ),
    (
        Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
        128,
        METADATA,
    ),
    (
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        128,
        METADATA,
    ),
    (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
        128,
        METADATA,
    ),
    (Ipv6Addr::LOCALHOST, 128, LOOPBACK),
    // IPv4-compatible (::/96) and the unspecified address.
    (Ipv6Addr::UNSPECIFIED, 96, TRANSLATED),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, TRANSLATED),
    // The prefix of network-local translators: which IPv4 address it stands for is known to that network only.
    (
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0),
        48,
        TRANSLATED,
    ),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, RESERVED),
    // IETF protocol assignments, with Teredo (2001::/32), benchmarking, AMT, AS112 and ORCHID inside.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, PROTOCOL),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        DOCUMENTATION,
    ),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, TRANSLATED),
    (
        Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0),
        48,
        RELAY,
    ),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        DOCUMENTATION,
    ),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, PRIVATE),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK_LOCAL),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, RESERVED),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, MULTICAST),
];

const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
const GLOBAL_UNICAST: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);

fn classify_v4(address: Ipv4Addr) -> Reach {
    V4_BLOCKS
        .iter()
        .find(|(block, bits, _)| same_prefix_v4(address, *block, *bits))
        .map_or(Reach::Public, |(_, _, reach)| *reach)
}

fn classify_v6(address: Ipv6Addr) -> Reach {
    // Networks without IPv4 answer with the well-known NAT64 prefix for every IPv4 server there is, so this one
    // embedding has to work; it is as public as what it stands for.
    if same_prefix_v6(address, NAT64, 96) {
        return public_or_translated(last_four_bytes(address));
    }
    if let Some((_, _, reach)) = V6_BLOCKS
        .iter()
        .find(|(block, bits, _)| same_prefix_v6(address, *block, *bits))
    {
        return *reach;
    }
    if !same_prefix_v6(address, GLOBAL_UNICAST, 3) {
        return RESERVED;
    }
    // ISATAP: a router that speaks it would hand the packet to the IPv4 address in the last four bytes.
    if matches!(address.segments(), [_, _, _, _, 0x0 | 0x200, 0x5efe, _, _]) {
        return public_or_translated(last_four_bytes(address));
    }
    Reach::Public
}

fn public_or_translated(embedded: Ipv4Addr) -> Reach {
    match classify_v4(embedded) {
        Reach::Public => Reach::Public,
        Reach::Private(_) | Reach::Reserved(_) => TRANSLATED,
    }
}

fn last_four_bytes(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

/// Whether the first `bits` (1 to 32) are the same.
fn same_prefix_v4(address: Ipv4Addr, block: Ipv4Addr, bits: u32) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= bits
}

/// Whether the first `bits` (1 to 128) are the same.
fn same_prefix_v6(address: Ipv6Addr, block: Ipv6Addr, bits: u32) -> bool {
    (address.to_bits() ^ block.to_bits()).leading_zeros() >= bits
}

#[cfg(test)]
mod tests;
