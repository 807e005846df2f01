//! Loading by name and shape, with everything that does not fit in one message.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::TensorFile;
use crate::{Error, Result};

/// How many names an error text lists of each kind.
const LISTED: usize = 4;

impl TensorFile {
    /// Takes the tensors of `expected` names and shapes out of the file and returns their data in that order.
    ///
    /// Nothing else may be in the file but what `ignore` holds for, `|name| name.starts_with("optimizer.")` for example,
    /// and PyTorch's counters `num_batches_tracked`.
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
        let Misfits { missing, misshapen, unreadable, extra } = self.misfits(expected, ignore);
        let kinds = [
            ("missing", missing),
            ("of another shape", misshapen),
            ("of a type other than F32, F16, BF16 and F64", unreadable),
            ("not in the network", extra),
        ];
        let some = kinds.into_iter().filter(|(_, names)| !names.is_empty());
        let problems: Vec<String> =
            some.map(|(kind, names)| format!("{} {kind} ({})", names.len(), list(names.iter()))).collect();
        if !problems.is_empty() {
            return Err(Error::format(
                &self.path,
                format!(
                    "does not fit this network: {}; use the model, input and number of classes that it was made with, or \
                     --init-partial to train on from what fits",
                    problems.join("; ")
                ),
            ));
        }
        Ok(expected.iter().filter_map(|(name, _)| self.tensors.remove(name)).map(|tensor| tensor.data).collect())
    }

    /// Takes those tensors of `expected` names and shapes that are in the file: their data in that order, `None` where
    /// nothing in the file fits, and what came of it.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where nothing fits at all; nothing is taken then.
    pub fn take_partial(
        &mut self,
        expected: &[(String, Vec<usize>)],
        ignore: impl Fn(&str) -> bool,
    ) -> Result<(Vec<Option<Vec<f32>>>, Loaded)> {
        let fits = |file: &Self, (name, shape): &(String, Vec<usize>)| {
            file.tensors.get(name).is_some_and(|tensor| tensor.shape == *shape)
        };
        let Misfits { missing, misshapen, unreadable, extra } = self.misfits(expected, ignore);
        if !expected.iter().any(|entry| fits(self, entry)) {
            let (theirs, ours) = (list(self.names()), list(expected.iter().map(|(name, _)| name)));
            let message = format!(
                "no tensor in it has name and shape of one of this network: it has {theirs}, the network has {ours}"
            );
            return Err(Error::format(&self.path, message));
        }
        let counters = self.others.keys().filter(|name| is_counter(name)).cloned();
        let mut loaded = Loaded { path: self.path.clone(), misshapen, missing, ..Loaded::default() };
        loaded.unused = extra.into_iter().chain(unreadable).chain(counters).collect();
        let mut take = |entry: &(String, Vec<usize>)| {
            let data = if fits(self, entry) { self.tensors.remove(&entry.0)?.data } else { return None };
            loaded.count(&data);
            Some(data)
        };
        let data = expected.iter().map(&mut take).collect();
        Ok((data, loaded))
    }

    /// Refuses weights on which nothing can be trained.
    pub(crate) fn check_finite(&self) -> Result<()> {
        let broken = self.tensors.iter().find(|(_, tensor)| tensor.data.iter().any(|number| !number.is_finite()));
        broken.map_or(Ok(()), |(name, _)| {
            let message = format!(
                "tensor `{name}` holds infinities or NaN; it is damaged, or was saved after a training that diverged"
            );
            Err(Error::format(&self.path, message))
        })
    }

    /// Compares the file with what is expected of it.
    fn misfits(&self, expected: &[(String, Vec<usize>)], ignore: impl Fn(&str) -> bool) -> Misfits {
        let mut misfits = Misfits::default();
        for (name, shape) in expected {
            match (self.tensors.get(name), self.others.get(name)) {
                (Some(found), _) if found.shape == *shape => {}
                (Some(found), _) => {
                    misfits.misshapen.push(format!("{name}: expected {shape:?}, found {:?}", found.shape));
                }
                (None, Some(dtype)) => misfits.unreadable.push(format!("{name}: found {dtype}")),
                (None, None) => misfits.missing.push(format!("{name} {shape:?}")),
            }
        }
        let names: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let unread = self.others.keys().map(String::as_str).filter(|name| !is_counter(name));
        let extra = self.names().chain(unread).filter(|name| !names.contains(name) && !ignore(name));
        misfits.extra = extra.map(String::from).collect();
        misfits
    }
}

/// Where a file is not what a network expects.
#[derive(Default)]
struct Misfits {
    missing: Vec<String>,
    misshapen: Vec<String>,
    unreadable: Vec<String>,
    extra: Vec<String>,
}

/// What a network took out of a file, and what not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// Tensors that were taken.
    pub tensors: usize,
    /// Numbers in them.
    pub numbers: u64,
    /// Tensors of the file for which the network has no place, or of a type that it does not take.
    pub unused: Vec<String>,
    /// Tensors that have another shape in the network than in the file, with both; they keep their values.
    pub misshapen: Vec<String>,
    /// Tensors of the network that are not in the file, with their shapes; they keep their values.
    pub missing: Vec<String>,
}

impl Loaded {
    /// All of a network, out of `file`.
    pub(crate) fn whole(file: &TensorFile, data: &[Vec<f32>]) -> Self {
        let unused = file.others.keys().cloned().collect();
        let mut loaded = Self { path: file.path.clone(), unused, ..Self::default() };
        data.iter().for_each(|data| loaded.count(data));
        loaded
    }

    fn count(&mut self, data: &[f32]) {
        self.tensors += 1;
        self.numbers += data.len() as u64;
    }
}

/// Whether this is PyTorch's count of batches that a normalisation has seen, which nothing depends on.
fn is_counter(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
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
             use the model, input and number of classes that it was made with, or --init-partial to train on from what fits"
        );
        assert_eq!(file.names().count(), 5);
    }

    #[test]
    fn counters_of_batches_are_passed_over() {
        let mut file = file(&[("bn.weight", &[2])]);
        file.others.insert("bn.num_batches_tracked".into(), "I64".into());
        let weights = file.take_exact(&expect(&[("bn.weight", &[2])]), |_| false).unwrap();
        let loaded = Loaded::whole(&file, &weights);
        assert_eq!((loaded.tensors, loaded.numbers, loaded.unused), (1, 2, vec!["bn.num_batches_tracked".to_string()]));
        let counter = expect(&[("bn.num_batches_tracked", &[])]);
        let text = file.take_exact(&counter, |_| false).unwrap_err().to_string();
        assert!(text.contains("(bn.num_batches_tracked: found I64)"), "{text}");
    }

    #[test]
    fn a_part_is_taken_and_both_sides_of_the_rest_are_told() {
        let head: [(&str, &[usize]); 5] =
            [("a", &[2]), ("fc", &[1000, 4]), ("b", &[1, 3]), ("aux", &[1]), ("opt.a", &[2])];
        let mut file = file(&head);
        file.others.insert("n.num_batches_tracked".into(), "I64".into());
        file.others.insert("index".into(), "I64".into());
        let wanted = expect(&[("b", &[1, 3]), ("fc", &[10, 4]), ("new", &[7]), ("index", &[1]), ("a", &[2])]);
        let (data, loaded) = file.take_partial(&wanted, |name| name.starts_with("opt.")).unwrap();
        assert_eq!(data, [Some(vec![2.0; 3]), None, None, None, Some(vec![0.0; 2])]);
        assert_eq!((loaded.tensors, loaded.numbers), (2, 5));
        assert_eq!(loaded.unused, ["aux", "index: found I64", "n.num_batches_tracked"]);
        assert_eq!(loaded.misshapen, ["fc: expected [10, 4], found [1000, 4]"]);
        assert_eq!(loaded.missing, ["new [7]"]);
        assert_eq!(file.names().collect::<Vec<_>>(), ["aux", "fc", "opt.a"]);
    }

    #[test]
    fn a_file_of_which_nothing_fits_is_an_error() {
        let text = file(&[("a", &[2])]).take_partial(&expect(&[("a", &[3]), ("b", &[2])]), |_| false).unwrap_err();
        assert!(text.to_string().contains("it has a, the network has a, b"), "{text}");
    }

    #[test]
    fn what_is_no_number_is_refused_by_name() {
        let mut file = file(&[("a", &[2]), ("b", &[3])]);
        file.check_finite().unwrap();
        file.tensors.get_mut("b").unwrap().data[2] = f32::NAN;
        assert!(file.check_finite().unwrap_err().to_string().contains("tensor `b` holds infinities or NaN"));
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
