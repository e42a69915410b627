use super::*;

#[test]
fn the_catalogue_tells_the_defaults_that_hold() {
    let limits = Limits::default();
    for info in Limits::CATALOGUE {
        assert_eq!(limits.get(info.key), info.default, "{}", info.key);
        assert!(
            info.default
                .is_none_or(|default| 0 < default && default <= info.max),
            "{}",
            info.key
        );
        assert!(
            info.max <= i64::MAX.unsigned_abs(),
            "{} must fit into TOML",
            info.key
        );
    }
}

#[test]
fn every_key_of_the_catalogue_can_be_set() {
    for info in Limits::CATALOGUE {
        let mut limits = Limits::default();
        let value = match info.unit {
            LimitUnit::Rate => LimitValue::Rate(Rate::parse("7/s").unwrap()),
            _ => LimitValue::Number(7),
        };
        limits.set(&value, info.key);
        assert_eq!(limits.get(info.key), Some(7), "{}", info.key);
        assert!(limits.show(info.key).unwrap().starts_with('7'));
        let others = Limits::CATALOGUE
            .iter()
            .filter(|other| other.key != info.key);
        for other in others {
            assert_eq!(
                limits.get(other.key),
                other.default,
                "{} changed {}",
                info.key,
                other.key
            );
        }
    }
}

#[test]
fn every_count_fits_where_it_is_kept() {
    let wide = ["fuel"];
    for info in Limits::CATALOGUE
        .iter()
        .filter(|info| info.unit == LimitUnit::Count)
    {
        assert!(
            wide.contains(&info.key) || u32::try_from(info.max).is_ok(),
            "{}",
            info.key
        );
    }
}

#[test]
fn keys_are_unique_and_unknown_ones_are_none() {
    let mut keys: Vec<&str> = Limits::CATALOGUE.iter().map(|info| info.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), Limits::CATALOGUE.len());
    assert!(Limits::info("memroy").is_none());
    assert_eq!(Limits::default().get("memroy"), None);
}

#[test]
fn limits_are_shown_as_people_write_them() {
    let limits = Limits::default();
    assert_eq!(limits.show("time").as_deref(), Some("30s"));
    assert_eq!(limits.show("memory").as_deref(), Some("256MiB"));
    assert_eq!(limits.show("requests").as_deref(), Some("64"));
    assert_eq!(limits.show("rate"), None);
}

#[test]
fn the_catalogues_of_sessions_and_hosts_tell_the_defaults_that_hold() {
    for (limits, catalogue) in [
        (SharedLimits::session(), SharedLimits::SESSION),
        (SharedLimits::host(), SharedLimits::HOST),
    ] {
        for info in catalogue {
            assert_eq!(limits.get(info.key), info.default, "{}", info.key);
            let default = info.default.unwrap_or(1);
            assert!(0 < default && default <= info.max, "{}", info.key);
            assert!(u32::try_from(info.max).is_ok(), "{}", info.key);
            // A written limit is shown by the unit that its key has for a tool.
            assert_eq!(Limits::info(info.key).unwrap().unit, info.unit);
        }
    }
}
