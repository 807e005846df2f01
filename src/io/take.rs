//! Loading by name and shape, with everything that does not fit in one message.

use std::collections::BTreeSet;

use super::TensorFile;
use crate::{Error, Result};

/// How many names an error text lists of each kind.
const LISTED: usize = 4;

impl TensorFile {
    /// Takes the tensors of `expected` names and shapes out of the file and returns their data in that order.
    ///
    /// Nothing else may be in the file but what `ignore` holds for: `|name| name.starts_with("optimizer.")`.
    ///
    /// # Errors
    ///
    /// One [`Error::Format`] that lists what is missing, misshapen, of another type, or too much; nothing is taken
    /// then. [`Error::Usage`] for a name that is expected twice.
    pub fn take_exact(
        &mut self,
        expected: &[(String, Vec<usize>)],
        ignore: impl Fn(&str) -> bool,
    ) -> Result<Vec<Vec<f32>>> {
        let names: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        if names.len() < expected.len() {
            return Err(Error::usage("a tensor's name is expected twice: every parameter needs a name of its own"));
        }
        let problems = self.misfits(expected, |name| names.contains(name) || ignore(name));
        if !problems.is_empty() {
            return Err(Error::format(
                &self.path,
                format!(
                    "does not fit this network: {}; use the model, input and number of classes that it was made with",
                    problems.join("; ")
                ),
            ));
        }
        Ok(expected.iter().filter_map(|(name, _)| self.tensors.remove(name)).map(|tensor| tensor.data).collect())
    }

    fn misfits(&self, expected: &[(String, Vec<usize>)], known: impl Fn(&str) -> bool) -> Vec<String> {
        let (mut missing, mut misshapen, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for (name, shape) in expected {
            match (self.tensors.get(name), self.others.get(name)) {
                (Some(found), _) if found.shape == *shape => {}
                (Some(found), _) => misshapen.push(format!("{name}: expected {shape:?}, found {:?}", found.shape)),
                (None, Some(dtype)) => unreadable.push(format!("{name}: found {dtype}")),
                (None, None) => missing.push(format!("{name} {shape:?}")),
            }
        }
        let unread = self.others.keys().map(String::as_str);
        let extra: Vec<_> = self.names().chain(unread).filter(|name| !known(name)).map(String::from).collect();
        let kinds = [
            ("missing", missing),
            ("of another shape", misshapen),
            ("of a type other than F32, F16, BF16 and F64", unreadable),
            ("not in the network", extra),
        ];
        let some = kinds.into_iter().filter(|(_, names)| !names.is_empty());
        some.map(|(kind, names)| format!("{} {kind} ({})", names.len(), list(names.iter()))).collect()
    }
}

/// The first few of many.
pub(super) fn list(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<_> = names.collect();
    let shown: Vec<&str> = names.iter().take(LISTED).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(LISTED) {
        0 if names.is_empty() => "none".into(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::HostTensor;

    fn file(tensors: &[(&str, &[usize])]) -> TensorFile {
        let mut file = TensorFile::new();
        for (i, (name, shape)) in tensors.iter().enumerate() {
            let data = vec![i as f32; shape.iter().product()];
            file.insert(*name, HostTensor { shape: shape.to_vec(), data }).unwrap();
        }
        file
    }

    fn expect(tensors: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
        tensors.iter().map(|(name, shape)| (name.to_string(), shape.to_vec())).collect()
    }

    #[test]
    fn data_come_in_the_order_asked_for() {
        let mut file = file(&[("b", &[2]), ("a", &[1, 3]), ("optimizer.b", &[2])]);
        let data = file.take_exact(&expect(&[("b", &[2]), ("a", &[1, 3])]), |n| n.starts_with("optimizer.")).unwrap();
        assert_eq!(data, [vec![0.0; 2], vec![1.0; 3]]);
        assert_eq!(file.names().collect::<Vec<_>>(), ["optimizer.b"]);
    }

    #[test]
    fn one_error_lists_everything_and_takes_nothing() {
        let mut file = file(&[("same", &[2]), ("fc", &[10, 84]), ("x1", &[1]), ("x2", &[1]), ("opt", &[1])]);
        file.others.insert("count".into(), "I64".into());
        file.others.insert("extra".into(), "U8".into());
        let wanted = expect(&[("same", &[2]), ("fc", &[5, 84]), ("new", &[]), ("count", &[1])]);
        let text = file.take_exact(&wanted, |name| name == "opt").unwrap_err().to_string();
        assert_eq!(
            text,
            "(in memory): does not fit this network: 1 missing (new []); \
             1 of another shape (fc: expected [5, 84], found [10, 84]); \
             1 of a type other than F32, F16, BF16 and F64 (count: found I64); \
             3 not in the network (x1, x2, extra); \
             use the model, input and number of classes that it was made with"
        );
        assert_eq!(file.names().count(), 5);
    }

    #[test]
    fn long_lists_are_cut_with_a_count() {
        let wanted: Vec<_> = (0..7).map(|i| (format!("w{i}"), vec![])).collect();
        let text = file(&[]).take_exact(&wanted, |_| false).unwrap_err().to_string();
        assert!(text.contains("7 missing (w0 [], w1 [], w2 [], w3 [] and 3 more)"), "{text}");
    }

    #[test]
    fn a_name_expected_twice_is_an_error() {
        let mut file = file(&[("a", &[1])]);
        let error = file.take_exact(&expect(&[("a", &[1]), ("a", &[1])]), |_| false).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
}
