use std::net::IpAddr;

use url::Host;

use super::{EgressError, check, is_own};

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn name(text: &str) -> Host {
    Host::Domain(text.to_owned())
}

fn refusal(host: &Host, found: &[&str], special: bool) -> Option<String> {
    match check(host, 443, &addresses(found), special) {
        Ok(checked) => {
            let dialled: Vec<IpAddr> = checked.iter().map(|it| it.0.ip()).collect();
            assert_eq!(dialled, addresses(found));
            None
        }
        Err(EgressError::Refused(reason)) => Some(reason),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_public_name_may_only_lead_to_public_addresses() {
    let host = name("api.example.com");
    assert_eq!(
        refusal(&host, &["93.184.215.14", "2606:2800::1"], false),
        None
    );
    assert_eq!(
        refusal(&host, &["127.0.0.1"], false).unwrap(),
        "api.example.com leads to 127.0.0.1, which is a loopback address"
    );
    assert_eq!(
        refusal(&host, &["169.254.169.254"], false).unwrap(),
        "api.example.com leads to 169.254.169.254, which is the metadata service of a cloud"
    );
}

#[test]
fn one_special_address_among_many_refuses_all() {
    let host = name("api.example.com");
    assert!(refusal(&host, &["93.184.215.14", "10.0.0.1"], false).is_some());
    assert!(refusal(&host, &["10.0.0.1", "93.184.215.14"], false).is_some());
}

#[test]
fn a_rule_for_a_private_name_reaches_private_networks_and_no_metadata() {
    let host = name("wiki.internal");
    assert_eq!(refusal(&host, &["10.0.0.7", "fd00::7"], true), None);
    for special in [
        "169.254.169.254",
        "fd00:ec2::254",
        "0.0.0.0",
        "224.0.0.1",
        "fe80::1",
    ] {
        assert!(refusal(&host, &[special], true).is_some(), "{special}");
    }
}

#[test]
fn an_address_that_a_rule_spells_out_is_reached() {
    for text in ["127.0.0.1", "169.254.169.254"] {
        let host = Host::parse(text).unwrap();
        assert_eq!(refusal(&host, &[text], true), None);
        assert!(refusal(&host, &[text], false).unwrap().starts_with(text));
    }
}

#[test]
fn a_name_without_addresses_is_not_found() {
    let error = check(&name("example.com"), 443, &[], false).unwrap_err();
    assert_eq!(error, EgressError::NameNotFound);
}

#[test]
fn this_machine_knows_its_own_addresses() {
    assert!(is_own("127.0.0.1".parse().unwrap()));
    assert!(!is_own("192.0.2.1".parse().unwrap()));
}
