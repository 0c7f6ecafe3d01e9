//! Reading of vector files.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use data_encoding::HEXLOWER;
use hermes_wire::kdf::h;
use serde_json::Value;

/// One case, or an object in one; remembers which fields were used.
pub(crate) struct Case {
    value: Value,
    used: RefCell<BTreeSet<String>>,
}

impl Case {
    fn new(value: Value) -> Self {
        Self {
            value,
            used: RefCell::default(),
        }
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.value.get(field).is_some()
    }

    fn value(&self, field: &str) -> &Value {
        self.used.borrow_mut().insert(field.to_owned());
        self.value
            .get(field)
            .unwrap_or_else(|| panic!("no field {field} in {}", self.value))
    }

    pub(crate) fn name(&self) -> &str {
        self.text("name")
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.value(field).as_str().expect("a text")
    }

    pub(crate) fn num<T: TryFrom<u64>>(&self, field: &str) -> T {
        let number = self.value(field).as_u64().expect("a number");
        T::try_from(number)
            .ok()
            .unwrap_or_else(|| panic!("{field} is out of range"))
    }

    pub(crate) fn nums(&self, field: &str) -> Vec<u64> {
        self.value(field)
            .as_array()
            .expect("a list")
            .iter()
            .map(|v| v.as_u64().unwrap())
            .collect()
    }

    pub(crate) fn pairs(&self, field: &str) -> Vec<(u64, u64)> {
        let list = self.value(field).as_array().expect("a list");
        list.iter()
            .map(|v| (v[0].as_u64().unwrap(), v[1].as_u64().unwrap()))
            .collect()
    }

    pub(crate) fn hex(&self, field: &str) -> Vec<u8> {
        HEXLOWER.decode(self.text(field).as_bytes()).expect("hex")
    }

    pub(crate) fn arr<const N: usize>(&self, field: &str) -> [u8; N] {
        self.hex(field)
            .try_into()
            .unwrap_or_else(|_| panic!("{field} has another length than {N}"))
    }

    pub(crate) fn hexes(&self, field: &str) -> Vec<Vec<u8>> {
        let list = self.value(field).as_array().expect("a list");
        list.iter()
            .map(|v| HEXLOWER.decode(v.as_str().unwrap().as_bytes()).unwrap())
            .collect()
    }

    pub(crate) fn arrs<const N: usize>(&self, field: &str) -> Vec<[u8; N]> {
        self.hexes(field)
            .into_iter()
            .map(|v| v.try_into().unwrap())
            .collect()
    }

    pub(crate) fn list(&self, field: &str) -> Vec<Self> {
        self.value(field)
            .as_array()
            .expect("a list")
            .iter()
            .cloned()
            .map(Self::new)
            .collect()
    }

    pub(crate) fn object(&self, field: &str) -> Self {
        Self::new(self.value(field).clone())
    }

    /// Ends the case: every field must have been used.
    pub(crate) fn done(self) {
        let mut used = self.used.into_inner();
        used.insert("name".to_owned());
        let left: Vec<_> = self
            .value
            .as_object()
            .unwrap()
            .keys()
            .filter(|k| !used.contains(*k))
            .collect();
        assert!(
            left.is_empty(),
            "fields of {} that no test looks at: {left:?}",
            self.value["name"]
        );
    }
}

/// All cases of a file, of which there must be at least one.
pub(crate) fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/vectors")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let cases = file["cases"].as_array().expect("cases");
    assert!(!cases.is_empty());
    cases.iter().cloned().map(Case::new).collect()
}

/// The one case of a file with this name.
pub(crate) fn case(file: &str, name: &str) -> Case {
    let mut found = cases(file).into_iter().filter(|c| c.name() == name);
    let case = found
        .next()
        .unwrap_or_else(|| panic!("no case {name} in {file}"));
    assert!(found.next().is_none(), "two cases {name} in {file}");
    case
}

/// The generator's stand-in for randomness, for the inputs that a file names by their label.
pub(crate) fn rnd(label: &str, n: usize) -> Vec<u8> {
    let block = |i: u32| h(&[b"hermes/1 vectors ", label.as_bytes(), &i.to_le_bytes()]);
    (0..).flat_map(block).take(n).collect()
}

pub(crate) fn rnd32(label: &str) -> [u8; 32] {
    rnd(label, 32).try_into().unwrap()
}
