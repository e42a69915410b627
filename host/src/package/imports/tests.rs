use crate::{
    Package,
    package::inspect::look,
    sandbox::fixtures::{ECHO, tool_with},
};

fn imports_only(text: &str) -> Option<Vec<u8>> {
    let (_, found) = look(&wat::parse_str(text).unwrap()).unwrap();
    found.imports_only
}

#[test]
fn the_imports_stay_and_the_code_goes() {
    let whole = tool_with(
        "(import \"wasi:io/poll@0.2.6\" (instance $poll (export \"pollable\" (type (sub resource)))))
         (alias export $poll \"pollable\" (type $pollable))
         (import \"toolcell:tool/log@0.1.0\" (instance (export \"x\" (func (param \"p\" (own $pollable))))))",
        "",
        ECHO,
    );
    let package = Package::parse("t", whole.clone()).unwrap();
    let cut = package.imports_only().unwrap();
    assert!(cut.len() < whole.len() / 2);
    let (inspection, _) = look(cut).unwrap();
    assert_eq!(inspection.imports, package.inspection().imports);
    assert_eq!((inspection.core_modules, inspection.exports.len()), (0, 0));
}

#[test]
fn built_in_packages_have_their_imports_first() {
    for (name, bytes) in crate::builtins() {
        let package = Package::parse(name, bytes).unwrap();
        let (inspection, _) = look(package.imports_only().unwrap()).unwrap();
        assert_eq!(inspection.imports, package.inspection().imports, "{name}");
    }
}

#[test]
fn parts_that_imports_do_not_depend_on_may_stand_before_them() {
    let module = "(core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
        (alias core export $i \"f\" (core func $f)) (func (canon lift (core func $f)))";
    let text = format!("(component {module} (import \"a:b/c\" (instance (export \"f\" (func)))))");
    let cut = imports_only(&text).unwrap();
    assert_eq!(look(&cut).unwrap().0.imports, ["a:b/c"]);
    let text =
        "(component (component $c) (instance (instantiate $c)) (import \"a:b/c\" (instance)))";
    assert_eq!(imports_only(text), None);
}
