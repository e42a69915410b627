use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::{Reach, classify};

/// The IANA IPv4 special-purpose registry, and multicast.
const IPV4: &[&str] = &[
    "0.0.0.0/8",
    "0.0.0.0/32",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.0.0/29",
    "192.0.0.8/32",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "192.0.0.170/32",
    "192.0.0.171/32",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
];

/// The IANA IPv6 special-purpose registry without 64:ff9b::/96, and multicast, site-local and IPv4-compatible.
const IPV6: &[&str] = &[
    "::1/128",
    "::/128",
    "::ffff:0:0/96",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001::/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "2001:2::/48",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:30::/28",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

const METADATA: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:42::42",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
];

/// Public addresses, most of them next to a special block.
const PUBLIC: &[&str] = &[
    "1.0.0.0",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.1.255",
    "192.0.3.0",
    "192.31.195.255",
    "192.31.197.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2000::",
    "2001:200::",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::",
    "2003::",
    "2606:4700:4700::1111",
    "2620:4f:7fff:ffff::",
    "2620:4f:8001::",
    "3ffe:ffff::",
    "3fff:1000::",
    "64:ff9b::8.8.8.8",
    "2a00:1450::5efe:808:808",
];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The first, a middle and the last address of a block.
fn samples(block: &str) -> [IpAddr; 3] {
    let (first, bits) = block.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match address(first) {
        IpAddr::V4(first) => {
            let first = first.to_bits();
            let rest = u32::MAX.checked_shr(bits).unwrap_or(0);
            [first, first | (rest >> 1), first | rest].map(|bits| Ipv4Addr::from(bits).into())
        }
        IpAddr::V6(first) => {
            let first = first.to_bits();
            let rest = u128::MAX.checked_shr(bits).unwrap_or(0);
            [first, first | (rest >> 1), first | rest].map(|bits| Ipv6Addr::from(bits).into())
        }
    }
}

#[test]
fn no_address_of_a_special_block_is_public() {
    for block in IPV4.iter().chain(IPV6) {
        for address in samples(block) {
            assert_ne!(classify(address), Reach::Public, "{address} of {block}");
        }
    }
}

#[test]
fn public_addresses_are_public() {
    for text in PUBLIC {
        assert_eq!(classify(address(text)), Reach::Public, "{text}");
    }
}

#[test]
fn metadata_services_are_reserved_even_inside_private_or_public_blocks() {
    for text in METADATA {
        let reach = classify(address(text));
        assert!(matches!(reach, Reach::Reserved(_)), "{text}: {reach:?}");
    }
}

#[test]
fn private_networks_can_be_granted_by_name_and_nothing_else_can() {
    for text in [
        "127.0.0.1",
        "127.255.255.255",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "::1",
        "fd12:3456::1",
        "fc00::1",
    ] {
        let reach = classify(address(text));
        assert!(matches!(reach, Reach::Private(_)), "{text}: {reach:?}");
    }
    for text in [
        "0.0.0.0",
        "::",
        "169.254.0.1",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2002:7f00:1::",
        "::169.254.169.254",
        "fec0::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2a00:1450::5efe:7f00:1",
        "2a00::200:5efe:a00:1",
    ] {
        let reach = classify(address(text));
        assert!(matches!(reach, Reach::Reserved(_)), "{text}: {reach:?}");
    }
}

fn special_v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>()
        .prop_map(Ipv4Addr::from)
        .prop_filter("special", |it| classify((*it).into()) != Reach::Public)
}

/// Every way in which an IPv4 address is carried inside an IPv6 one.
fn carried(inner: Ipv4Addr) -> Vec<Ipv6Addr> {
    let [a, b, c, d] = inner.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    vec![
        inner.to_ipv6_mapped(),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0, 0),
        Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
        Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0, 0x5efe, high, low),
        Ipv6Addr::new(0x2a00, 0x1450, 0, 0, 0x200, 0x5efe, high, low),
    ]
}

proptest! {
    #[test]
    fn every_address_has_a_kind(v4 in any::<u32>(), v6 in any::<u128>()) {
        classify(Ipv4Addr::from(v4).into());
        classify(Ipv6Addr::from(v6).into());
    }

    #[test]
    fn a_special_ipv4_address_stays_special_inside_an_ipv6_one(inner in special_v4()) {
        for outer in carried(inner) {
            let reach = classify(outer.into());
            prop_assert!(reach != Reach::Public, "{} in {}", inner, outer);
        }
    }

    #[test]
    fn public_ipv6_is_global_unicast_or_a_translated_public_ipv4(bits in any::<u128>()) {
        let address = Ipv6Addr::from(bits);
        if classify(address.into()) == Reach::Public {
            let first = address.segments()[0];
            prop_assert!(first & 0xe000 == 0x2000 || first == 0x64);
        }
    }
}
